"""One term of a composite loss outweighs another one, which does not improve.

Why it matters: the gradient is that of the large term. What the small one asks for is not learned, though
    the sum falls.
How it decides: at the first of the recorded steps one term makes up at least `share` of the sum of all
    sizes; it has a constant factor at least `factor` times that of a term which is a loss function of its
    own with targets; and at the end (`final`) the median of that small term has not fallen below `still` of
    what it was at first.
When it is wrong: a small term that is at its best from the beginning, or one that is small by its nature.
    Of programs that no threshold had seen, none that it named had this fault: so it is a note.
What to do: choose factors that bring the terms to the same size, or look at the gradient of each.
Source: Chen et al. 2018, "GradNorm", arXiv:1711.02257, on balance of terms; the numbers are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Source,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
)
from unbug.detect.wired import given_line, number


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.97, unit="of all terms", low=0.5, high=1.0, why="then the rest is noise")
    factor: float = threshold(20.0, unit="times", low=1.0, high=1e9, why="recipes stay within 10")
    still: float = threshold(0.9, unit="of the first values", low=0.0, high=1.0, why="what learns falls")
    rows: int = threshold(6, unit="recorded steps", low=3, high=10_000, why="a third of them are compared")


@detector(
    "L115",
    "swamped-loss-term",
    chinese="损失项被淹没",
    diagnoses=("loss-term-imbalance",),
    reads=("loss.term",),
    events=("loss_terms",),
    severity=Severity.NOTE,
    since="0.2",
    final=True,
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = next(iter(window.events("loss_terms")), None)
    if told is None:
        return
    terms = [one for one in told.fields.get("terms") or () if isinstance(one, Mapping)]
    heavy = max(terms, key=lambda one: number(one.get("share"), 0), default=None)
    if heavy is None or number(heavy.get("share"), 0) < at.share:
        return
    for light in terms:
        ratio = abs(number(heavy.get("factor"), 0)) / max(abs(number(light.get("factor"), 1)), 1e-300)
        if light is heavy or not light.get("file") or ratio < at.factor:
            continue
        name = str(light.get("name"))
        track = next((one for one in window.read("loss.term") if one.statistic == name), None)
        if track is None or len(track) < at.rows:
            continue
        third = len(track) // 3
        before, after = np.median(track.values[:third]), np.median(track.values[-third:])
        if not (np.isfinite(before) and np.isfinite(after)) or before <= 0 or after < at.still * before:
            continue
        line: Source | None = given_line(heavy) or given_line(light)
        yield Finding(
            place="loss",
            message=Bilingual(
                f"the term {heavy.get('name')}, times {number(heavy.get('factor')):g}, makes up "
                f"{number(heavy.get('share')):.1%} of the loss; {name} does not fall: {before:.4g} at first, "
                f"{after:.4g} at the end",
                f"损失项 {heavy.get('name')}（系数 {number(heavy.get('factor')):g}）占损失的 "
                f"{number(heavy.get('share')):.1%}；{name} 没有下降：开始时 {before:.4g}，结束时 {after:.4g}",
            ),
            advice=Bilingual(
                "choose factors that bring the terms of the loss to the same size",
                "选择系数，使损失各项大小相当",
            ),
            source=line,
            evidence=(track.evidence(label=Bilingual("the small term", "较小的损失项")),),
        )
        return


def _terms(share: float = 0.97, factor: float = 20.0, **fields: Any) -> Event:
    heavy = {"name": "Mean", "factor": factor, "share": share, "file": "", "line": 0}
    light = {"name": "mse_loss", "factor": 1.0, "share": 1 - share, "file": "t.py", "line": 8} | fields
    return event("loss_terms", total=1.0, terms=[heavy, light])


_STILL = {"loss mse_loss": [1.0] * 4 + [0.9] * 2}
CASES = (
    fires("exactly at the thresholds", place="loss", events=(_terms(),), loss__term=_STILL),
    silent("the small one falls", events=(_terms(),), loss__term={"loss mse_loss": [1.0] * 3 + [0.89] * 3}),
    silent("it is not so large", events=(_terms(0.96),), loss__term=_STILL),
    silent("no factor makes it large", events=(_terms(0.99, 10.0),), loss__term=_STILL),
    silent("a small penalty of no loss function", events=(_terms(file=""),), loss__term=_STILL),
    silent("five steps", events=(_terms(),), loss__term={"loss mse_loss": [1.0] * 5}),
    silent("one term", events=(event("loss_terms", total=1.0, terms=[]),)),
)
