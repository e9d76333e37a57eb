"""Updates are lost to rounding, since the weights are kept in 16 bits.

Why it matters: a weight in bfloat16 has 8 bits of precision. An update below about a four-hundredth of it
    leaves it as it was; most of what the optimizer computes is thrown away.
How it decides: in weights kept in float16 or bfloat16, the share of elements that a step leaves exactly as
    they were is at least `swallowed` on `patience` recorded steps in a row, although at most `none` of
    their gradients are zero. Late, where the loss is at most `fell` of what it was at the start, it is a
    note.
When it is wrong: optimizers that leave most elements alone on purpose.
What to do: keep the weights in float32 and compute in 16 bits by autocast; or use stochastic rounding, or a
    higher learning rate.
Source: Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740, section 3.1; the numbers are
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
    fires,
    joined,
    matrices,
    program_line,
    silent,
    stepping,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    swallowed: float = threshold(0.9, unit="of the elements", low=0.1, high=1.0, why="healthy: 0.1 at first")
    none: float = threshold(0.5, unit="of the gradients", low=0.0, high=0.9, why="units may rest")
    patience: int = threshold(3, unit="recorded steps", low=1, high=1000, why="outlasts one odd step")
    fell: float = threshold(0.5, unit="of the first loss", low=0.0, high=1.0, why="small steps are due then")


@detector(
    "N106",
    "updates-swallowed",
    chinese="更新因舍入丢失",
    diagnoses=("low-precision",),
    reads=("update.zero_share", "grad.zero_share", "loss.value"),
    events=("optimizer", "source"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    gradients = {track.place: track for track in matrices(window, "grad.zero_share")}
    loss, setup = window.one("loss.value"), stepping(window)
    for track in matrices(window, "update.zero_share"):
        gradient = gradients.get(track.place)
        if gradient is None or track.where.dtype not in ("float16", "bfloat16"):
            continue
        steps, same, none = joined(track, gradient)
        streak = first_streak((same >= at.swallowed) & (none <= at.none), at.patience)
        if streak is None:
            continue
        since, known_at = int(steps[streak.start]), int(steps[streak.stop - 1])
        part = slice(*np.searchsorted(track.steps, [since, known_at + 1]).tolist())
        yield Finding(
            place=track.place,
            message=Bilingual(
                f"a step leaves {float(np.median(same[streak])):.0%} of the weights exactly as they were, on "
                f"{at.patience} recorded steps: in {track.where.dtype} their updates are lost to rounding",
                f"一步之后 {float(np.median(same[streak])):.0%} 的权重毫无变化，持续 "
                f"{at.patience} 个记录步：在 {track.where.dtype} 下更新因舍入而丢失",
            ),
            advice=Bilingual(
                "keep the weights in float32, and compute in 16 bits with torch.autocast",
                "让权重保持 float32，用 torch.autocast 以 16 位计算",
            ),
            severity=Severity.NOTE
            if loss is not None and _fell(loss.values, loss.steps, known_at, at)
            else None,
            steps=(since, known_at),
            known_at=known_at,
            weight=float(np.median(same[streak])),
            source=program_line(
                window,
                r"\.(bfloat16|half)\(\)|\.to\([^)]*(bfloat16|float16|half)|dtype=torch\.(bfloat16|float16|half)",
            )
            or (setup.source if setup is not None else None),
            evidence=(
                track.evidence(
                    part,
                    threshold=at.swallowed,
                    label=Bilingual("share of unchanged elements", "未改变元素的占比"),
                ),
            ),
        )


def _fell(values: np.ndarray, steps: np.ndarray, until: int, at: Thresholds) -> bool:
    seen = values[: int(np.searchsorted(steps, until, side="right"))]
    return len(seen) > 10 and float(np.median(seen[-5:])) <= at.fell * float(np.median(seen[:5]))


def _rows(same: list[float], *, dtype: str = "bfloat16", zeros: float = 0.1) -> dict[str, Any]:
    return {
        "places": (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0, dtype=dtype),),
        "update__zero_share": {"fc.weight": same},
        "grad__zero_share": {"fc.weight": [zeros] * len(same)},
    }


CASES = (
    fires("exactly at the thresholds", place="fc.weight", severity=Severity.WARNING, **_rows([0.9] * 3)),
    fires(
        "late",
        severity=Severity.NOTE,
        **_rows([0.1] * 20 + [0.95] * 3),
        loss__value={"loss": [2.0] * 10 + [1.0] * 13},
    ),
    silent("one step short", **_rows([0.9] * 2)),
    silent("most of them move", **_rows([0.6] * 30)),
    silent("full precision", **_rows([1.0] * 9, dtype="float32")),
    silent("no gradient", **_rows([1.0] * 9, zeros=0.6)),
)
