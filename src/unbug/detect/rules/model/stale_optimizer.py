"""The optimizer holds parameters that the model no longer has.

Why it matters: what it updates is not what is used; the parameters that replaced them are not trained.
How it decides: in `looks` consecutive looks, the optimizer holds tensors that are in no module that runs.
When it is wrong: tensors that are optimised on purpose beside the model are left out; a part of the model
    that never runs is not.
What to do: make the optimizer after the last change of the model (`model.fc = …`, `model = …`).
Source: TrainCheck (arXiv:2506.14813) on identity of parameters and optimizer; the number of looks is ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
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
    looks: int = threshold(2, unit="looks", low=1, high=100, why="a program may replace a group in between")


@detector(
    "M102",
    "stale-optimizer-parameters",
    chinese="优化器持有旧参数",
    diagnoses=("params-not-in-optimizer",),
    events=("parameters",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for again in seen_again(window, lambda look: look.get("stale") or (), looks=at.looks, key=_key):
        stale = again.items
        shapes = ["×".join(map(str, one.get("shape") or ())) or "scalar" for one in stale]
        names = [str(one.get("path") or "") for one in stale]
        told = named([f"{name} ({shape})".strip() for name, shape in zip(names, shapes, strict=True)])
        yield Finding(
            place="optimizer",
            message=Bilingual(
                f"the optimizer holds {len(stale)} parameters that no module uses any more: {told}",
                f"优化器持有 {len(stale)} 个已没有模块使用的参数：{told.zh}",
            ),
            advice=Bilingual(
                "make the optimizer after the last change of the model", "在最后一次修改模型之后再创建优化器"
            ),
            steps=(again.since, again.step),
            known_at=again.step,
            evidence=(
                facts_evidence(
                    window,
                    "optimizer",
                    (again.since, again.step),
                    Bilingual("parameters that are held but not used", "持有但未使用的参数"),
                    shapes=shapes,
                ),
            ),
        )
        return


def _key(one: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    return str(one.get("path") or ""), tuple(one.get("shape") or ())


def _look(step: int, *shapes: list[int]) -> Event:
    return event("parameters", step=step, stale=[{"path": "", "shape": shape} for shape in shapes])


CASES = (
    fires("in two looks", place="optimizer", events=(_look(0, [5, 48], [5]), _look(1, [5, 48], [5]))),
    silent("in one look", events=(_look(0, [5, 48]), _look(1))),
    silent("never", events=(_look(0), _look(1), _look(2))),
)
