"""The spread of a layer's output leaves the range that the user set.

Why it matters: who knows how large the outputs of a layer should be wants to be told when they are not. No
    range fits all programs; without one this rule says nothing.
How it decides: the variance of a layer's output is below `least` or above `most` on `patience` consecutive
    recorded steps. By default every variance is inside.
When it is wrong: where the range is wrong.
What to do: set the range in `[tool.unbug.rules.A104]`, and look at the weights and inputs of the layer that
    is told.
Source: AWS, SageMaker Debugger rule TensorVariance, whose thresholds are the user's as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import Bilingual, Finding, Severity, Window, detector, fires, silent, threshold
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    least: float = threshold(0.0, unit="variance", low=0.0, high=1e30, why="the user's to set")
    most: float = threshold(1e30, unit="variance", low=0.0, high=1e30, why="the user's to set")
    patience: int = threshold(3, unit="recorded steps", low=1, high=10_000, why="single batches stray")


@detector(
    "A104",
    "output-spread",
    chinese="输出方差越界",
    diagnoses=("bad-init", "exploding-gradient"),
    reads=("activation.std",),
    severity=Severity.NOTE,
    since="0.2",
    confidence=0.5,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for track in window.read("activation.std"):
        with np.errstate(all="ignore"):
            variance = track.values**2
        for bad, limit, above in (
            (variance < at.least, at.least, False),
            (variance > at.most, at.most, True),
        ):
            streak = first_streak(bad, at.patience)
            if streak is None:
                continue
            seen = float(variance[streak.start])
            yield Finding(
                place=track.place,
                message=Bilingual(
                    f"the variance of the output is {seen:.3g} (limit {limit:.3g})",
                    f"输出方差为 {seen:.3g}（阈值 {limit:.3g}）",
                ),
                advice=Bilingual("look at the weights and inputs of this layer", "检查该层的权重与输入"),
                evidence=(
                    track.evidence(
                        streak,
                        threshold=float(np.sqrt(limit)),
                        above=above,
                        label=Bilingual("deviation of the output", "输出的标准差"),
                    ),
                ),
            )


CASES = (
    fires("beyond any number that is healthy", place="fc", activation__std={"fc": [1e16] * 3}),
    silent("two steps", activation__std={"fc": [1e16] * 2}),
    silent("no range is set", activation__std={"fc": [1e9] * 30}),
    silent("all the same", activation__std={"fc": [0.0] * 30}),
)
