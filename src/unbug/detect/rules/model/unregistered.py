"""The model uses parameters that none of its modules registers.

Why it matters: `model.parameters()` does not list them, so that no optimizer trains them; `state_dict` does
    not save them, and `to(device)` leaves them behind. The program runs, with layers that stay random.
How it decides: in `looks` consecutive looks an attribute of a module (a plain list, tuple, dict, or a tensor
    that is no `nn.Parameter`) holds tensors that get gradients, and no module owns them. It is an error if no
    optimizer holds them and their values do not change; else it is a note: they learn, but are not saved.
When it is wrong: a network that is hidden in a list on purpose and not frozen (a perceptual loss): freeze it.
What to do: use `nn.ModuleList`, `nn.ModuleDict`, `nn.ParameterList` or `nn.Parameter`.
Source: PyTorch documentation of `torch.nn.ModuleList`; the number of looks is ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Source,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    named,
    seen_again,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    looks: int = threshold(2, unit="looks", low=1, high=100, why="what is kept for one step is no parameter")


@detector(
    "M105",
    "unregistered-parameter",
    chinese="参数未注册",
    diagnoses=("unregistered-parameter",),
    events=("parameters",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told: set[str] = set()
    for again in seen_again(window, _unregistered, looks=at.looks, key=lambda one: one["path"]):
        for one in again.items:
            path = str(one["path"])
            if path in told:
                continue
            told.add(path)
            learns = bool(one.get("changed") or one.get("in_optimizer"))
            why = (
                Bilingual("model.state_dict() does not save them", "model.state_dict() 不会保存它们")
                if learns
                else Bilingual("no optimizer trains them", "没有优化器训练它们")
            )
            count, elements = int(one.get("count") or 0), int(one.get("elements") or 0)
            file, line = str(one.get("file") or ""), int(one.get("line") or 0)
            yield Finding(
                place=path,
                message=_held(one)
                + Bilingual(
                    f", and no module registers them: {count} parameters ({elements:,} values) get "
                    f"gradients, but {why}",
                    f"，而没有模块注册它们：{count} 个参数（{elements:,} 个数值）得到梯度，但{why.zh}",
                ),
                advice=Bilingual(
                    "hold modules in nn.ModuleList or nn.ModuleDict, and tensors in nn.Parameter or "
                    "nn.ParameterList, before the optimizer is made",
                    "在创建优化器之前，用 nn.ModuleList、nn.ModuleDict 保存模块，"
                    "用 nn.Parameter、nn.ParameterList 保存张量",
                ),
                severity=Severity.NOTE if learns else None,
                steps=(again.since, again.step),
                known_at=again.step,
                source=Source(file=file, line=line) if file and line else None,
                weight=float(count),
                evidence=(
                    facts_evidence(
                        window,
                        path,
                        (again.since, again.step),
                        Bilingual("parameters that no module registers", "没有模块注册的参数"),
                        **one,
                    ),
                ),
            )


def _unregistered(look: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = look.get("unregistered")
    return None if found is None else [one for one in found if one.get("path")]


def _held(one: Mapping[str, Any]) -> Bilingual:
    classes = [str(name) for name in one.get("classes") or ()]
    path = str(one.get("path"))
    if not one.get("attribute"):
        return Bilingual(f"modules of class {path} run inside the model", f"{path} 类的模块在模型内部运行")
    if classes == ["Tensor"]:
        return Bilingual(f"the plain attribute {path} holds tensors", f"普通属性 {path} 保存着张量")
    return Bilingual(
        f"the plain attribute {path} holds modules of class {named(classes)}",
        f"普通属性 {path} 保存着 {named(classes).zh} 类的模块",
    )


def _look(step: int, *paths: str, **fields: Any) -> Event:
    given = {
        "classes": ["Block"],
        "count": 24,
        "elements": 1344,
        "changed": False,
        "file": "t.py",
        "line": 21,
    }
    return event("parameters", step=step, unregistered=[{"path": path, **given, **fields} for path in paths])


CASES = (
    fires(
        "a plain list of modules",
        place="blocks",
        severity=Severity.ERROR,
        events=(_look(1, "blocks"), event("parameters", step=5), _look(10, "blocks")),
    ),
    fires("a tensor that is no parameter", events=(_look(1, "gain", classes=["Tensor"]), _look(2, "gain"))),
    fires(
        "modules that no attribute holds",
        events=(_look(1, "Block", attribute=""), _look(2, "Block", attribute="")),
    ),
    fires(
        "given to the optimizer by hand",
        severity=Severity.NOTE,
        events=(_look(1, "blocks", in_optimizer=True), _look(2, "blocks", in_optimizer=True)),
    ),
    fires(
        "updated by hand",
        severity=Severity.NOTE,
        events=(_look(1, "blocks"), _look(2, "blocks", changed=True)),
    ),
    silent("in one look", events=(_look(1, "blocks"), _look(2))),
    silent("another attribute", events=(_look(1, "kept"), _look(2, "other"))),
    silent("never", events=(_look(1), _look(2))),
)
