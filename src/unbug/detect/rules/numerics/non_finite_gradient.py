"""Gradients hold NaN or infinity while the loss is finite.

Why it matters: one optimizer step with them makes the weights NaN for good. A finite loss hides it until
    then.
How it decides: the global gradient norm, or the share of non-finite values in a parameter's gradient, shows
    it on a recorded step at which the loss is finite and which GradScaler did not skip.
When it is wrong: a program that itself leaves out such steps.
What to do: look for operations whose derivative is infinite where their value is not: sqrt(0), a norm of
    zeros, x / x, pow with a base of 0, `where` over a branch that is not taken.
Source: PyTorch documentation of autograd, "division by zero and where"; the number of steps is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Track,
    Window,
    detector,
    fires,
    half_precision,
    last_checkpoint,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(1, unit="recorded steps", low=1, high=1000, why="one such step ends a training")


@detector(
    "N102",
    "non-finite-gradient",
    chinese="梯度非有限",
    diagnoses=("numeric-unsafe-op", "low-precision"),
    reads=("grad.global_norm", "grad.nonfinite_share", "loss.value", "loss.nonfinite", "step.skipped"),
    events=("checkpoint", "precision"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    excused = _excused(window)
    first: tuple[int, Track, int] | None = None
    for track in (*window.read("grad.nonfinite_share"), *window.read("grad.global_norm")):
        bad = ~np.isfinite(track.values) if track.name == "grad.global_norm" else track.values > 0
        rows = np.flatnonzero(bad & ~np.isin(track.steps, excused))
        if len(rows) >= at.patience:
            row = int(rows[at.patience - 1])
            known_at = int(track.steps[row])
            if first is None or known_at < first[0]:
                first = known_at, track, row
    if first is None:
        return
    known_at, track, row = first
    whole = track.name == "grad.global_norm"
    which = Bilingual("the gradient norm", "梯度范数") if whole else Bilingual("the gradient", "梯度")
    share = (
        Bilingual()
        if whole
        else Bilingual(
            f" in {track.values[row]:.1%} of its values", f"（占其数值的 {track.values[row]:.1%}）"
        )
    )
    yield Finding(
        place=track.place,
        message=Bilingual(
            f"{which} is NaN or infinite{share} at step {known_at}, while the loss is finite",
            f"{which.zh}为 NaN 或无穷{share.zh}，在第 {known_at} 步，而损失是有限的",
        ),
        advice=Bilingual(
            "look for sqrt(0), a norm of zeros, division by zero or pow at zero in what leads to the loss",
            "检查通向损失的计算中是否有 sqrt(0)、零向量的范数、除以零或零的幂",
        )
        + last_checkpoint(window, known_at),
        diagnoses=("low-precision", "numeric-unsafe-op") if half_precision(window) == "float16" else None,
        evidence=(
            track.evidence(
                slice(row, row + 1),
                label=Bilingual("gradient norm", "梯度范数")
                if whole
                else Bilingual("share of NaN or infinite", "NaN 或无穷的占比"),
            ),
        ),
    )


def _excused(window: Window) -> np.ndarray:
    """Steps whose gradient need not be finite: the loss was not, or GradScaler left the optimizer alone."""
    steps = [track.steps[~np.isfinite(track.values)] for track in window.read("loss.value")]
    for name in ("loss.nonfinite", "step.skipped"):
        steps += [track.steps[track.values >= 1] for track in window.read(name)]
    first_bad = min(
        (int(part.min()) for part in steps[: len(window.read("loss.value"))] if len(part)), default=None
    )
    after = [] if first_bad is None else [np.arange(first_bad, window.steps + 1)]
    return np.concatenate([*steps, *after, np.zeros(0, np.int64)])


_NAN = float("nan")
CASES = (
    fires(
        "a share of NaN",
        place="fc.weight",
        grad__nonfinite_share={"fc.weight": [0.0, 0.01]},
        loss__value={"loss": [1.0, 1.0]},
    ),
    fires(
        "the norm",
        place="optimizer",
        grad__global_norm={"optimizer": [1.0, float("inf")]},
        loss__value={"loss": [1.0, 1.0]},
    ),
    silent(
        "all finite", grad__nonfinite_share={"fc.weight": [0.0] * 9}, grad__global_norm={"optimizer": [1e30]}
    ),
    silent(
        "the loss was not", grad__nonfinite_share={"fc.weight": [0.0, 1.0]}, loss__value={"loss": [1.0, _NAN]}
    ),
    silent(
        "GradScaler skipped",
        grad__nonfinite_share={"fc.weight": [0.0, 1.0]},
        step__skipped={"loop": [0.0, 1.0]},
    ),
)
