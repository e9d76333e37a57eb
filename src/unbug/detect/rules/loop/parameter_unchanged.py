"""A parameter gets gradients and never changes, while others do.

Why it matters: it is in the optimizer, costs a gradient, and stays as it was.
How it decides: on the first `patience` recorded steps with an update of it, it changed by exactly nothing
    although its gradient was above zero on all recorded steps till then, while another parameter changed.
    Weights in 16 bits are left to N106, a model of which nothing changes to T103.
When it is wrong: parameter groups with a learning rate of zero on purpose. It is a note.
What to do: look at the learning rate of its group, and at what writes it back (a clamp, a copy, weight
    tying).
Source: the idea is that of SageMaker Debugger's UnchangedTensor; the number is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    fires,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(
        10, unit="recorded steps", low=2, high=10_000, why="a warm-up may start at zero"
    )


@detector(
    "T109",
    "parameter-unchanged",
    chinese="参数从未改变",
    diagnoses=("frozen-by-mistake",),
    reads=("update.absmax", "grad.absmax"),
    severity=Severity.NOTE,
    since="0.3",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    updates = window.read("update.absmax")
    gradients = {track.place: track for track in window.read("grad.absmax")}
    moving = [int(track.steps[track.values > 0][0]) for track in updates if (track.values > 0).any()]
    for track in updates:
        gradient = gradients.get(track.place)
        if gradient is None or len(track) < at.patience or track.where.dtype in ("float16", "bfloat16"):
            continue
        known_at = max(int(track.steps[at.patience - 1]), min(moving, default=0))
        first = track.values[: at.patience]
        seen = gradient.before(int(track.steps[at.patience - 1]) + 1).values
        if not moving or (first != 0).any() or not len(seen) or not (seen > 0).all():
            continue
        yield Finding(
            place=track.place,
            message=Bilingual(
                f"it gets gradients, and changed by nothing on {at.patience} recorded steps, while others "
                f"change",
                f"它得到了梯度，却在 {at.patience} 个记录步中毫无改变，而其他参数在变",
            ),
            advice=Bilingual(
                "look at the learning rate of its group, and at what writes it back",
                "检查其参数组的学习率，以及是否有代码把它写回原值",
            ),
            steps=(int(track.steps[0]), known_at),
            known_at=known_at,
            evidence=(track.evidence(slice(0, at.patience), label=Bilingual("largest change", "最大变化")),),
        )


_TWO = {"a": [0.0] * 10, "b": [0.1] * 10}
_SOME = {"a": [0.5] * 10, "b": [0.5] * 10}
CASES = (
    fires("one of two", place="a", update__absmax=_TWO, grad__absmax=_SOME),
    silent("no gradient", update__absmax=_TWO, grad__absmax={"a": [0.0] * 10, "b": [0.5] * 10}),
    silent("one step short", update__absmax={"a": [0.0] * 9, "b": [0.1] * 9}, grad__absmax=_SOME),
    silent(
        "nothing changes: T103 speaks", update__absmax={"a": [0.0] * 10, "b": [0.0] * 10}, grad__absmax=_SOME
    ),
    silent(
        "16 bits: N106 speaks",
        places=(Place(path="a", kind="parameter", dtype="bfloat16"),),
        update__absmax=_TWO,
        grad__absmax=_SOME,
    ),
)
