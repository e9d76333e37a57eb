"""Weights are NaN or infinite.

Why it matters: whatever passes them is NaN from now on; no later step can repair it.
How it decides: the share of non-finite values in a recorded parameter is above zero. It is told of the
    places where it was so first.
When it is wrong: parameters that hold infinity on purpose, such as masks; those should be buffers.
What to do: go back to a checkpoint from before, and look at the finding that came first.
Source: IEEE 754 arithmetic.
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
    event,
    fires,
    half_precision,
    last_checkpoint,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.0, unit="fraction above which", low=0.0, high=1.0, why="a single NaN spreads")


@detector(
    "N103",
    "non-finite-weight",
    chinese="权重非有限",
    diagnoses=("numeric-unsafe-op", "exploding-gradient", "lr-too-high"),
    reads=("weight.nonfinite_share",),
    events=("checkpoint", "precision"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.99,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    first = {}
    for track in window.read("weight.nonfinite_share"):
        rows = np.flatnonzero(track.values > at.share)
        if len(rows):
            first[track.place] = track, int(rows[0])
    if not first:
        return
    half = half_precision(window) == "float16"
    earliest = min(int(track.steps[row]) for track, row in first.values())
    for track, row in first.values():
        if track.steps[row] == earliest:
            yield Finding(
                place=track.place,
                message=Bilingual(
                    f"{track.values[row]:.1%} of the values are NaN or infinite at step {earliest}",
                    f"{track.values[row]:.1%} 的数值为 NaN 或无穷（第 {earliest} 步）",
                ),
                advice=Bilingual(
                    "go back to a checkpoint from before, and look at what came first",
                    "回到此前的检查点，并查明最先出错的是什么",
                )
                + last_checkpoint(window, earliest),
                diagnoses=("low-precision", "numeric-unsafe-op") if half else None,
                evidence=(
                    track.evidence(
                        slice(row, row + 1),
                        label=Bilingual("share of NaN or infinite weights", "NaN 或无穷权重的占比"),
                    ),
                ),
                weight=float(track.values[row]),
            )


CASES = (
    fires("one value", place="fc.weight", weight__nonfinite_share={"fc.weight": [0.0, 0.001]}),
    fires(
        "the place where it began", place="a", weight__nonfinite_share={"a": [0.0, 1.0], "b": [0.0, 0.0, 1.0]}
    ),
    fires(
        "a checkpoint was saved before",
        events=(event("checkpoint", step=0, action="saved", path="/out/0.pt", healthy=True),),
        weight__nonfinite_share={"fc.weight": [0.0, 0.0, 0.001]},
    ),
    silent("all finite", weight__nonfinite_share={"fc.weight": [0.0] * 99}),
)
