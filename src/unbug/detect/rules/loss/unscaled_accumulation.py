"""Gradients of several batches are added up without dividing by their number.

Why it matters: the step is as large as if the learning rate were multiplied by the number of batches, and
    what was tuned for one batch diverges. Clipping then cuts every step.
How it decides: each step has the same number of forward and backward passes in turn, 2 or more, on `steps`
    recorded steps in a row; they come from one line; and in the graph the loss is a mean over the batch
    with no constant factor in front. With batches of one example it is a note.
When it is wrong: a sum over tasks, domains or parts of a sequence that is meant as a sum.
What to do: divide the loss by the number of batches in a step before `backward`.
Source: PyTorch documentation of automatic mixed precision, "Gradient accumulation"; the number of steps is
    ours.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Window,
    detector,
    event,
    fires,
    orders,
    silent,
    threshold,
)
from unbug.detect.wired import given_line, number, wirings

_IN_TURN = re.compile(r"\((FB|BF)\)\+")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(3, unit="recorded steps", low=1, high=1000, why="a first step may be a rehearsal")


@detector(
    "L114",
    "unscaled-accumulation",
    chinese="梯度累积未除以批次数",
    diagnoses=("grad-accum-unscaled",),
    reads=("step.micro_steps",),
    events=("wiring", "loop_order"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    track = window.one("step.micro_steps")
    if track is None:
        return
    streak = _same(track.values, at.steps)
    if streak is None:
        return
    count, known_at = int(track.values[streak.start]), int(track.steps[streak.stop - 1])
    if not any(_IN_TURN.search(word) for step, word in orders(window) if step <= known_at):
        return
    looks: dict[int, list[Mapping[str, Any]]] = {}
    for step, fields in wirings(window):
        looks.setdefault(step, []).append(fields)
    for step, passes in looks.items():
        if len(passes) < 2 or not all(_is_plain_mean(one) for one in passes):
            continue
        if len({given_line(one) for one in passes}) > 1:
            return
        known = max(known_at, step)
        alone = any(int(number(one.get("batch"), 0)) == 1 for one in passes)
        yield Finding(
            place="loop",
            message=Bilingual(
                f"each step adds up the gradients of {count} batches, and their losses, each a mean, are not "
                "divided by that number",
                f"每一步累积 {count} 个批次的梯度，而各批的平均损失没有除以该数目",
            ),
            advice=Bilingual(
                f"divide the loss by {count} before backward, or lower the learning rate as much",
                f"在 backward 之前把损失除以 {count}，或相应降低学习率",
            ),
            severity=Severity.NOTE if alone else None,
            steps=(int(track.steps[streak.start]), known),
            known_at=known,
            source=given_line(passes[0]),
            evidence=(
                track.evidence(
                    streak, threshold=2, label=Bilingual("backward passes in a step", "每步的 backward 次数")
                ),
            ),
        )
        return


def _same(values: NDArray[np.float64], rows: int) -> slice | None:
    """The first rows in a row that all have one number of passes, 2 or more."""
    since = 0
    for row, value in enumerate(values.tolist()):
        if row and value != values[row - 1]:
            since = row
        if 2 <= value < float("inf") and row - since + 1 >= rows:
            return slice(since, row + 1)
    return None


def _is_plain_mean(fields: Mapping[str, Any]) -> bool:
    root = fields.get("root") or {}
    return number(root.get("factor"), 0) == 1.0 and any(
        one.get("reduction") == "mean" and number(one.get("factor"), 0) == 1.0
        for one in root.get("terms") or (root,)
    )


def _passes(factor: float = 1.0, lines: tuple[int, int] = (9, 9), **fields: Any) -> tuple[Event, ...]:
    root = {"op": "NllLoss", "reduction": "mean", "factor": factor}
    given: dict[str, Any] = {"root": root, "batch": 32, "file": "t.py"} | fields
    return (
        event("loop_order", order="Z(FB)+S"),
        *(event("wiring", step=1, line=line, **given) for line in lines),
    )


_FOUR = {"loop": [4.0] * 4}
CASES = (
    fires("four batches", place="loop", events=_passes(), step__micro_steps=_FOUR, severity=Severity.WARNING),
    fires("single examples", severity=Severity.NOTE, events=_passes(batch=1), step__micro_steps=_FOUR),
    silent("divided", events=_passes(0.25), step__micro_steps=_FOUR),
    silent("real and made images, from two lines", events=_passes(lines=(9, 12)), step__micro_steps=_FOUR),
    silent("one batch a step", events=_passes(), step__micro_steps={"loop": [1.0] * 9}),
    silent(
        "sums", events=_passes(root={"op": "Sum", "reduction": "sum", "factor": 1.0}), step__micro_steps=_FOUR
    ),
    silent("two steps", events=_passes(), step__micro_steps={"loop": [4.0] * 2}),
)
