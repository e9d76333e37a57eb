"""Gradients vanish in float16, which has no smaller numbers.

Why it matters: below 6e-8 a float16 is zero, below 6e-5 it has few digits left. Gradients of that size are
    lost on their way to the first layers, unless the loss is scaled up.
How it decides: weights or autocast are in float16, no GradScaler was seen, and in a gradient whose largest
    element is below `small` at least `zeros` of the elements are zero, on `patience` recorded steps in a
    row.
When it is wrong: units that rest; their gradients are zero in full precision too.
What to do: scale the loss with `torch.amp.GradScaler`, or use bfloat16.
Source: Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740, section 3.2; the shares are
    ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    event,
    fires,
    half_precision,
    joined,
    matrices,
    silent,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    small: float = threshold(6.1e-5, unit="absolute", low=1e-8, high=1.0, why="smallest normal float16")
    zeros: float = threshold(0.3, unit="of the elements", low=0.01, high=1.0, why="units that rest: below it")
    patience: int = threshold(3, unit="recorded steps", low=1, high=1000, why="outlasts one odd batch")


@detector(
    "N107",
    "gradient-underflow",
    chinese="梯度下溢",
    diagnoses=("low-precision",),
    reads=("grad.absmax", "grad.zero_share"),
    events=("precision",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    scaled = any(one.fields.get("scaler") for one in window.events("precision"))
    if scaled or half_precision(window) != "float16":
        return
    zeros = {track.place: track for track in matrices(window, "grad.zero_share")}
    for track in matrices(window, "grad.absmax"):
        if track.place not in zeros:
            continue
        steps, largest, none = joined(track, zeros[track.place])
        streak = first_streak((largest < at.small) & (none >= at.zeros), at.patience)
        if streak is None:
            continue
        since, known_at = int(steps[streak.start]), int(steps[streak.stop - 1])
        part = slice(*np.searchsorted(track.steps, [since, known_at + 1]).tolist())
        yield Finding(
            place=track.place,
            message=Bilingual(
                f"{float(np.median(none[streak])):.0%} of the gradient is zero and the rest below "
                f"{at.small:.2g}, on {at.patience} recorded steps: float16 has no smaller numbers",
                f"梯度的 {float(np.median(none[streak])):.0%} 为零，其余小于 "
                f"{at.small:.2g}，持续 {at.patience} 个记录步：float16 无法表示更小的数",
            ),
            advice=Bilingual(
                "scale the loss with torch.amp.GradScaler, or use bfloat16",
                "用 torch.amp.GradScaler 缩放损失，或改用 bfloat16",
            ),
            steps=(since, known_at),
            known_at=known_at,
            weight=float(np.median(none[streak])),
            evidence=(
                track.evidence(
                    part,
                    threshold=at.small,
                    above=False,
                    label=Bilingual("largest element of the gradient", "梯度的最大元素"),
                ),
            ),
        )


def _rows(largest: float, zeros: float, *, rows: int = 3, dtype: str = "float16") -> dict[str, Any]:
    return {
        "places": (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0, dtype=dtype),),
        "grad__absmax": {"fc.weight": [largest] * rows},
        "grad__zero_share": {"fc.weight": [zeros] * rows},
    }


CASES = (
    fires("just small enough", place="fc.weight", **_rows(6e-5, 0.3)),
    fires(
        "autocast",
        events=(event("precision", autocast=True, device="cuda", dtype="float16"),),
        **_rows(1e-6, 0.9, dtype="float32"),
    ),
    silent("gradients of a usual size", **_rows(6.2e-5, 0.9)),
    silent("few are zero", **_rows(1e-6, 0.29)),
    silent("bfloat16 has smaller ones", **_rows(1e-6, 0.9, dtype="bfloat16")),
    silent("scaled", events=(event("precision", scaler=True, scale=65536.0),), **_rows(1e-6, 0.9)),
    silent("twice", **_rows(1e-6, 0.9, rows=2)),
)
