"""The gradient is clipped to a small part of its length in every step.

Why it matters: the step no longer depends on the gradient's length but on the limit: the learning rate is
    in truth hundreds of times smaller than it says.
How it decides: the limit is at most `share` of the norm before clipping in `patience` consecutive clips, or
    zero in `zeros` of them, which is an error with any optimizer. Adaptive optimizers divide by the
    gradient's size, so that with them nothing else is told.
When it is wrong: a learning rate that was raised to make up for it.
What to do: raise the limit to about the usual norm (1 is common), so that only rare steps are clipped.
Source: Pascanu et al. 2013, arXiv:1211.5063, choose the limit from the average norm; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    ADAPTIVE,
    Bilingual,
    Finding,
    Severity,
    Training,
    Window,
    detector,
    event,
    fires,
    joined,
    program_line,
    silent,
    stepping,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.02, unit="limit over norm", low=1e-6, high=0.5, why="healthy: 0.3 and above")
    zeros: int = threshold(3, unit="clips", low=1, high=10_000, why="a limit of zero is one from the start")
    patience: int = threshold(20, unit="clips", low=2, high=10_000, why="norms are large at first")


@detector(
    "G104",
    "gradient-clip-too-tight",
    chinese="梯度裁剪过紧",
    diagnoses=("grad-clip-too-tight",),
    reads=("clip.limit", "grad.global_norm"),
    events=("optimizer", "source"),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    limit, norm = window.one("clip.limit"), window.one("grad.global_norm")
    if limit is None or norm is None:
        return
    steps, limits, norms = joined(limit, norm)
    with np.errstate(all="ignore"):
        share = limits / norms
    nothing = first_streak((limits <= 0) & (norms > 0), at.zeros)
    tight = first_streak(
        (share <= at.share) & (limits > 0) & (limits <= _felt(window)) & np.isfinite(norms), at.patience
    )
    streak = nothing or tight
    if streak is None:
        return
    since, known_at = int(steps[streak.start]), int(steps[streak.stop - 1])
    part = slice(*np.searchsorted(norm.steps, [since, known_at + 1]).tolist())
    usual = float(np.median(norms[streak]))
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"gradient norms of {usual:.3g} are cut to nothing, {at.zeros} times in a row",
            f"梯度范数 {usual:.3g} 被裁剪为零，连续 {at.zeros} 次",
        )
        if nothing
        else Bilingual(
            f"gradient norms of {usual:.3g} are cut to {limits[streak.start]:.2g}, {at.patience} times "
            f"in a row: steps are {usual / limits[streak.start]:.0f} times shorter than the learning rate "
            "says",
            f"梯度范数 {usual:.3g} 被裁剪到 {limits[streak.start]:.2g}，连续 {at.patience} 次："
            f"实际步长比学习率所示小 {usual / limits[streak.start]:.0f} 倍",
        ),
        severity=Severity.ERROR if nothing else None,
        source=program_line(window, r"clip_grad(_norm)?_?\("),
        advice=Bilingual(
            f"raise the limit of clipping to about {max(usual, 1e-12):.1g}",
            f"把裁剪上限提高到约 {max(usual, 1e-12):.1g}",
        ),
        evidence=(
            norm.evidence(
                part,
                threshold=float(limits[streak.start]),
                label=Bilingual("gradient norm before clipping", "裁剪前的梯度范数"),
            ),
        ),
    )


def _felt(window: Window) -> float:
    """The largest limit that the optimizer feels: one that divides by the gradient's size feels only what
    brings each element below the `eps` that it adds."""
    optimizers, setup = window.training.optimizers, stepping(window)
    if not optimizers or optimizers[0] not in ADAPTIVE:
        return float("inf")
    return setup.number("eps") * float(np.sqrt(setup.elements)) if setup is not None else 0.0


_NORMS = {"optimizer": [1.0] * 20}
CASES = (
    fires(
        "exactly at both thresholds",
        place="optimizer",
        grad__global_norm=_NORMS,
        clip__limit={"optimizer": [0.02] * 20},
    ),
    fires(
        "a limit of zero",
        severity=Severity.ERROR,
        grad__global_norm={"optimizer": [1.0] * 3},
        clip__limit={"optimizer": [0.0] * 3},
        training=Training(number=0, steps=3, optimizers=("Adam",)),
    ),
    silent(
        "one clip short", grad__global_norm={"optimizer": [1.0] * 19}, clip__limit={"optimizer": [0.02] * 19}
    ),
    silent("just above the share", grad__global_norm=_NORMS, clip__limit={"optimizer": [0.0201] * 20}),
    silent(
        "an adaptive optimizer",
        grad__global_norm=_NORMS,
        clip__limit={"optimizer": [0.001] * 20},
        training=Training(number=0, steps=20, optimizers=("Adam",)),
    ),
    fires(
        "an adaptive optimizer that feels it",
        events=(
            event(
                "optimizer", **dict[str, Any]({"class": "a.Adam", "groups": [{"elements": 100, "eps": 1e-8}]})
            ),
        ),
        grad__global_norm=_NORMS,
        clip__limit={"optimizer": [1e-7] * 20},
        training=Training(number=0, steps=20, optimizers=("Adam",)),
    ),
    silent("no clipping", grad__global_norm=_NORMS),
)
