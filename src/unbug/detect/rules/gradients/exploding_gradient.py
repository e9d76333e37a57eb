"""The gradient is so large that one step throws the weights away.

Why it matters: a step many times longer than the weights lands anywhere; the next loss is huge or NaN.
How it decides: over all weights together, the gradient's 2-norm is at least `gradient` times the weights'
    2-norm, and the update made of it at least `update` times, on `patience` recorded steps. The second
    condition leaves out large gradients that clipping or an adaptive optimizer makes harmless; without the
    first it is the learning rate that is too high (O101): that is the case too where an earlier update was
    so long already.
When it is wrong: weights that are almost zero on purpose.
What to do: clip the gradient norm, and look for the reason: recurrent or deep weights with a gain above 1,
    or targets of a large scale.
Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063, for
    the mechanism; the numbers are ours, see `docs/explanation/thresholds.md`.
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
    joined,
    last_checkpoint,
    loss_sites,
    silent,
    threshold,
    total_ratio,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    gradient: float = threshold(
        100.0, unit="times the weights' norm", low=1, high=1e9, why="healthy: below 1"
    )
    update: float = threshold(
        1.0, unit="times the weights' norm", low=0.01, high=1e6, why="healthy: below 0.2"
    )
    target: float = threshold(
        100.0, unit="largest target", low=1, high=1e9, why="standardised targets reach 10"
    )
    patience: int = threshold(1, unit="recorded steps", low=1, high=1000, why="one such step is enough")


@detector(
    "G102",
    "exploding-gradient",
    chinese="梯度爆炸",
    diagnoses=("exploding-gradient",),
    reads=("grad.l2", "update.ratio", "weight.l2"),
    events=("loss_call", "checkpoint"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    gradient = total_ratio(window, "grad.l2")
    update = total_ratio(window, "update.ratio", relative=True)
    if gradient is None or update is None:
        return
    steps, large, thrown = joined(gradient, update)
    streak = first_streak((large >= at.gradient) & (thrown >= at.update), at.patience)
    too_long = np.flatnonzero(thrown >= at.update)
    if streak is None or too_long[0] < streak.start:
        return
    first, last = int(steps[streak.start]), int(steps[streak.stop - 1])
    rows = slice(*np.searchsorted(gradient.steps, [first, last + 1]).tolist())
    target = _largest_target(window, last)
    scaled = target >= at.target
    why = Bilingual(f"; the targets reach {target:.4g}", f"；目标值高达 {target:.4g}") if scaled else ""
    cure = (
        Bilingual("standardise the targets", "对目标值做标准化")
        if scaled
        else Bilingual(
            "clip the gradient norm (clip_grad_norm_ with 1.0), "
            "and check the gain of recurrent and deep weights",
            "裁剪梯度范数（clip_grad_norm_，上限 1.0），并检查循环层与深层权重的增益",
        )
    )
    yield Finding(
        place=_worst(window, first),
        message=Bilingual(
            f"the gradient's norm is {large[streak.start]:.3g} times the weights' at step {first} "
            f"(limit {at.gradient:g}), the update {thrown[streak.start]:.3g} times",
            f"梯度范数是权重范数的 {large[streak.start]:.3g} 倍（第 {first} 步，阈值 {at.gradient:g}），"
            f"更新量是 {thrown[streak.start]:.3g} 倍",
        )
        + why,
        advice=cure + last_checkpoint(window, first),
        diagnoses=("unnormalized-target", "exploding-gradient") if scaled else None,
        evidence=(
            gradient.evidence(
                rows,
                threshold=at.gradient,
                label=Bilingual("gradient norm over weight norm", "梯度范数与权重范数之比"),
            ),
        ),
    )


def _worst(window: Window, step: int) -> str:
    """The parameter whose gradient is largest at a step."""
    tracks = [track for track in window.read("grad.l2") if step in track.steps]
    return max(tracks, key=lambda t: t.values[np.searchsorted(t.steps, step)]).place


def _largest_target(window: Window, until: int) -> float:
    seen = [
        abs(_number(profile.get(name)))
        for site in loss_sites(window, "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
        for step, profile in site.profiles
        for name in ("target_min", "target_max")
        if step <= until
    ]
    return max((value for value in seen if value == value), default=0.0)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | str) else float("nan")


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
CASES = (
    fires(
        "exactly at both thresholds",
        place="fc.weight",
        places=_FC,
        grad__l2={"fc.weight": [100.0]},
        weight__l2={"fc.weight": [1.0]},
        update__ratio={"fc.weight": [1.0]},
    ),
    fires(
        "targets of a large scale",
        places=_FC,
        diagnoses=("unnormalized-target", "exploding-gradient"),
        events=(event("loss_call", function="mse_loss", target_min=0.0, target_max=100.0),),
        grad__l2={"fc.weight": [500.0]},
        weight__l2={"fc.weight": [1.0]},
        update__ratio={"fc.weight": [5.0]},
    ),
    silent(
        "gradient just under",
        places=_FC,
        grad__l2={"fc.weight": [99.9]},
        weight__l2={"fc.weight": [1.0]},
        update__ratio={"fc.weight": [50.0]},
    ),
    silent(
        "large gradient, made harmless",
        places=_FC,
        grad__l2={"fc.weight": [1e6] * 9},
        weight__l2={"fc.weight": [1.0] * 9},
        update__ratio={"fc.weight": [0.99] * 9},
    ),
    silent(
        "the learning rate made it so",
        places=_FC,
        grad__l2={"fc.weight": [1.0, 1e3]},
        weight__l2={"fc.weight": [1.0, 9.0]},
        update__ratio={"fc.weight": [8.0, 1e4]},
    ),
    silent(
        "a bias, that starts at zero",
        places=(Place(path="fc.bias", kind="parameter", shape=(4,)),),
        grad__l2={"fc.bias": [1e6]},
        weight__l2={"fc.bias": [1e-3]},
        update__ratio={"fc.bias": [1e3]},
    ),
)
