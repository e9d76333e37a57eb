"""Every element of the gradient is cut to one and the same value.

Why it matters: only the sign of each element is left. Large and small ones weigh the same, and the step is
    as long as the limit says, often far too short.
How it decides: clipping was called, and in at least `shares` of the weights' gradients the elements are, in
    the root mean square, at least `flat` of the largest one, on `patience` recorded steps in a row. With
    adaptive optimizers, which divide by that size, it is a note.
When it is wrong: a program that trains on signs on purpose.
What to do: raise the limit of `clip_grad_value_` far above the usual element, or clip the norm.
Source: PyTorch documentation of `torch.nn.utils.clip_grad_value_`; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    ADAPTIVE,
    Bilingual,
    Finding,
    Place,
    Severity,
    Training,
    Window,
    detector,
    event,
    fires,
    joined,
    matrices,
    orders,
    program_line,
    silent,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    flat: float = threshold(0.8, unit="of the largest", low=0.3, high=1.0, why="normal numbers: below 0.4")
    shares: float = threshold(
        0.5, unit="of the weights", low=0.01, high=1.0, why="units that are dead are flat"
    )
    patience: int = threshold(
        5, unit="recorded steps", low=1, high=1000, why="outlasts the first, large steps"
    )


@detector(
    "G106",
    "gradient-value-clip-too-tight",
    chinese="梯度按值裁剪过紧",
    diagnoses=("grad-clip-too-tight",),
    reads=("grad.l2", "grad.absmax", "grad.count", "grad.zero_share"),
    events=("loop_order",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    clips = [step for step, word in orders(window) if "C" in word]
    largest = {track.place: track for track in matrices(window, "grad.absmax")}
    if not clips or not largest:
        return
    flatness: dict[int, list[float]] = {}
    counts = {track.place: track for track in matrices(window, "grad.count")}
    zeros = {track.place: track for track in matrices(window, "grad.zero_share")}
    for track in matrices(window, "grad.l2"):
        top, count, none = (kind.get(track.place) for kind in (largest, counts, zeros))
        if top is None or count is None:
            continue
        steps, norm, high = joined(track, top)
        number = count.values[np.searchsorted(count.steps, steps, side="right") - 1]
        if none is not None:
            number = number * (1 - none.values[np.searchsorted(none.steps, steps, side="right") - 1])
        with np.errstate(all="ignore"):
            for step, one in zip(steps.tolist(), (norm / np.sqrt(number) / high).tolist(), strict=True):
                flatness.setdefault(step, []).append(one)
    steps = np.array([step for step in sorted(flatness) if step >= min(clips)], np.int64)
    cut = np.array([np.mean(np.asarray(flatness[step]) >= at.flat) for step in steps.tolist()])
    streak = first_streak(cut >= at.shares, at.patience)
    if streak is None:
        return
    since, known_at = int(steps[streak.start]), int(steps[streak.stop - 1])
    worst = max(largest.values(), key=len)
    part = slice(*np.searchsorted(worst.steps, [since, known_at + 1]).tolist())
    optimizers = window.training.optimizers
    limit = float(np.median(worst.values[part]))
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"nearly all elements of the gradients have the same size, {limit:.2g}, to which they are "
            f"clipped",
            f"梯度的几乎所有元素都被裁剪到同一大小：{limit:.2g}",
        ),
        advice=Bilingual(
            "raise the limit of clip_grad_value_, or clip the norm with clip_grad_norm_",
            "提高 clip_grad_value_ 的上限，或改用 clip_grad_norm_ 裁剪范数",
        ),
        severity=Severity.NOTE if optimizers and optimizers[0] in ADAPTIVE else None,
        steps=(since, known_at),
        known_at=known_at,
        source=program_line(window, r"clip_grad_value_?\("),
        evidence=(
            worst.evidence(
                part, label=Bilingual(f"largest gradient of {worst.place}", f"{worst.place} 的最大梯度")
            ),
        ),
    )


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
_CLIPS = (event("loop_order", order="ZFBCS"),)


def _rows(norm: float, rows: int = 5, largest: float = 1e-6) -> dict[str, Any]:
    return {
        "places": _FC,
        "grad__l2": {"fc.weight": [norm] * rows},
        "grad__absmax": {"fc.weight": [largest] * rows},
        "grad__count": {"fc.weight": [16.0] * rows},
    }


CASES = (
    fires("all at the limit", place="optimizer", events=_CLIPS, **_rows(4e-6)),
    fires("just flat enough", events=_CLIPS, **_rows(3.21e-6)),
    fires(
        "an adaptive optimizer",
        severity=Severity.NOTE,
        events=_CLIPS,
        training=Training(number=0, steps=5, optimizers=("Adam",)),
        **_rows(4e-6),
    ),
    silent("not flat enough", events=_CLIPS, **_rows(3.1e-6)),
    silent("one step short", events=_CLIPS, **_rows(4e-6, rows=4)),
    silent("no clipping", events=(event("loop_order", order="ZFBS"),), **_rows(4e-6)),
    silent("no gradient", events=_CLIPS, **_rows(0.0, largest=0.0)),
)
