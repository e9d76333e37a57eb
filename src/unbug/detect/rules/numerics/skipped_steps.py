"""GradScaler leaves out step after step, since gradients overflow.

Why it matters: nothing is learned in these steps. A scaler needs some at the start to find its scale; if it
    goes on, the gradients hold NaN or infinity whatever the scale.
How it decides: `streak` steps in a row were skipped, more than halving takes from 65,536 down to 1; or at
    least `share` of the last `rows` steps.
When it is wrong: a scaler that was given a much larger scale to begin with.
What to do: look for what overflows in float16: run that part in float32, or use bfloat16; check that inputs
    and targets are finite.
Source: Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Window,
    detector,
    fires,
    silent,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    streak: int = threshold(20, unit="steps", low=2, high=1000, why="16 halvings lead from 65,536 to 1")
    rows: int = threshold(100, unit="steps", low=10, high=10_000, why="outlasts the search for a scale")
    share: float = threshold(0.3, unit="of these steps", low=0.01, high=1.0, why="usual: one in 2,000")


@detector(
    "N105",
    "steps-skipped",
    chinese="大量步被跳过",
    diagnoses=("nan-masked", "low-precision"),
    reads=("step.skipped",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    track = window.one("step.skipped")
    if track is None:
        return
    skipped = track.values >= 1
    found = first_streak(skipped, at.streak)
    often = None
    if len(skipped) >= at.rows:
        many = np.convolve(skipped.astype(np.float64), np.ones(at.rows), "valid")
        rows = np.flatnonzero(many >= at.share * at.rows)
        often = slice(int(rows[0]), int(rows[0]) + at.rows) if len(rows) else None
    part = min((one for one in (found, often) if one is not None), key=lambda one: one.stop, default=None)
    if part is None:
        return
    number, of = int(skipped[part].sum()), part.stop - part.start
    since, known_at = int(track.steps[part.start]), int(track.steps[part.stop - 1])
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"the GradScaler left out {number} of {of} steps up to step {known_at}: gradients overflow at "
            f"any scale",
            f"GradScaler 跳过了 {number} 步（共 {of} 步，到第 {known_at} 步）：无论缩放比例如何，梯度都会"
            f"溢出",
        ),
        advice=Bilingual(
            "find what is NaN or overflows in float16, and run it in float32; or use bfloat16",
            "找出 float16 下为 NaN 或溢出的部分，改用 float32 计算；或改用 bfloat16",
        ),
        steps=(since, known_at),
        known_at=known_at,
        evidence=(track.evidence(part, threshold=1.0, label=Bilingual("step left out", "被跳过的步")),),
    )


CASES = (
    fires("exactly the streak", place="optimizer", step__skipped={"loop": [0.0] + [1.0] * 20}),
    fires("every third", step__skipped={"loop": [1.0, 0.0, 0.0] * 34}),
    silent("it looks for its scale", step__skipped={"loop": [1.0] * 19 + [0.0] * 60}),
    silent("now and then", step__skipped={"loop": ([0.0] * 9 + [1.0]) * 30}),
    silent("no scaler", step__skipped={"loop": [0.0] * 300}),
)
