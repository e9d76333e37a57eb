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
            why = "model.state_dict() does not save them" if learns else "no optimizer trains them"
            count = int(one.get("count") or 0)
            file, line = str(one.get("file") or ""), int(one.get("line") or 0)
            yield Finding(
                place=path,
                message=f"{_held(one)}, and no module registers them: {count} parameters "
                f"({int(one.get('elements') or 0):,} values) get gradients, but {why}",
                advice="hold modules in nn.ModuleList or nn.ModuleDict, and tensors in nn.Parameter or "
                "nn.ParameterList, before the optimizer is made",
                severity=Severity.NOTE if learns else None,
                steps=(again.since, again.step),
                known_at=again.step,
                source=Source(file=file, line=line) if file and line else None,
                weight=float(count),
                evidence=(
                    facts_evidence(
                        window, path, (again.since, again.step), "parameters that no module registers", **one
                    ),
                ),
            )


def _unregistered(look: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = look.get("unregistered")
    return None if found is None else [one for one in found if one.get("path")]


def _held(one: Mapping[str, Any]) -> str:
    classes = [str(name) for name in one.get("classes") or ()]
    if not one.get("attribute"):
        return f"modules of class {one.get('path')} run inside the model"
    kind = "tensors" if classes == ["Tensor"] else f"modules of class {named(classes)}"
    return f"the plain attribute {one.get('path')} holds {kind}"


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
