"""Activations and gradients grow from layer to layer, or from time step to time step.

Why it matters: a signal that grows by a factor at each of many layers or time steps ends far out of range:
    the first losses are huge, gradients point nowhere, and clipping only hides it.
How it decides: at the first `looks` recorded steps the output of a hidden module is at least `growth` times
    the largest input (or 1), and the gradient over all weights at least `gradient` times their norm. Weights
    that are far too large explain it better (M114); where those before it are of an ordinary size, it is the
    depth, or the repetition in time.
When it is wrong: networks that compute in physical units on purpose.
What to do: initialise recurrent weights orthogonally with a gain of 1 at most, normalise between layers, use
    gated cells, and clip the gradient norm.
Source: Pascanu et al. 2013, arXiv:1211.5063; the numbers are ours.
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
    Track,
    Window,
    detector,
    fires,
    matrices,
    silent,
    threshold,
    total_ratio,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    growth: float = threshold(300.0, unit="times the input", low=10.0, high=1e12, why="healthy: below 10")
    gradient: float = threshold(
        30.0, unit="times the weights' norm", low=1.0, high=1e12, why="healthy: below 2"
    )
    looks: int = threshold(3, unit="recorded steps", low=1, high=100, why="outlasts an odd first batch")


@detector(
    "G130",
    "signal-explodes",
    chinese="信号逐层放大",
    diagnoses=("exploding-gradient", "bad-init"),
    reads=("activation.absmax", "input.absmax", "grad.l2", "weight.l2"),
    severity=Severity.WARNING,
    since="0.4",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    gradient = total_ratio(window, "grad.l2")
    tracks = window.read("activation.absmax")
    if gradient is None or len(gradient) < at.looks or not (gradient.values[: at.looks] >= at.gradient).all():
        return
    until = int(gradient.steps[at.looks - 1])
    given = [_largest(track, until) for track in window.read("input.absmax")]
    scale = max([1.0, *(one for one in given if np.isfinite(one))])
    last = max((track.where.order for track in matrices(window, "weight.l2")), default=-1)
    grown = [
        track
        for track in tracks
        if track.where.order < last - 1 and _reaches(track, until, at.growth * scale)
    ]
    if not grown:
        return
    worst = max(grown, key=lambda track: _largest(track, until))
    reached, ratio = _largest(worst, until), float(gradient.values[: at.looks].min())
    yield Finding(
        place=worst.place,
        message=Bilingual(
            f"outputs of {worst.place} reach {reached:.3g} for inputs of at most {scale:.3g}, and the "
            f"gradient is {ratio:.3g} times as long as the weights (limit {at.gradient:g}) at the first "
            f"{at.looks} recorded steps",
            f"{worst.place} 的输出达到 {reached:.3g}，而输入最大只有 {scale:.3g}；"
            f"梯度长度是权重的 {ratio:.3g} 倍（阈值 {at.gradient:g}），"
            f"最初 {at.looks} 个记录步均如此",
        ),
        advice=Bilingual(
            "start recurrent weights orthogonally with a gain of 1 at most, or normalise between the layers",
            "循环权重用增益不超过 1 的正交初始化，或在层间加入归一化",
        ),
        steps=(int(gradient.steps[0]), until),
        known_at=until,
        evidence=(
            gradient.evidence(
                slice(0, at.looks),
                threshold=at.gradient,
                label=Bilingual("gradient norm over weight norm", "梯度范数与权重范数之比"),
            ),
            worst.before(until + 1).evidence(label=Bilingual("largest output", "最大输出")),
        ),
    )


def _largest(track: Track, until: int) -> float:
    seen = track.before(until + 1).values
    seen = seen[~np.isnan(seen)]
    return float(seen.max()) if len(seen) else float("nan")


def _reaches(track: Track, until: int, least: float) -> bool:
    """Whether all outputs up to a step were so large; there must be some."""
    seen = track.before(until + 1).values
    return bool(len(seen) and (seen >= least).all())


_RNN = Place(path="rnn", kind="module", class_name="torch.nn.modules.rnn.RNN", order=0)
_W = Place(path="rnn.weight_hh_l0", kind="parameter", shape=(8, 8), order=1)
_OUT = Place(path="out.weight", kind="parameter", shape=(3, 8), order=4)


def _grows(reached: float, gradient: float, rows: int = 3) -> dict[str, Any]:
    return {
        "places": (_RNN, _W, _OUT),
        "activation__absmax": {"rnn": [reached] * rows},
        "weight__l2": {"rnn.weight_hh_l0": [1.0] * rows, "out.weight": [0.0] * rows},
        "grad__l2": {"rnn.weight_hh_l0": [gradient] * rows, "out.weight": [0.0] * rows},
    }


CASES = (
    fires("exactly at both thresholds", place="rnn", **_grows(300.0, 30.0)),
    fires("large inputs grow as well", input__absmax={"data": [2.0] * 3}, **_grows(600.0, 30.0)),
    silent("in proportion to the input", input__absmax={"data": [2.0] * 3}, **_grows(599.0, 30.0)),
    silent("the gradient is of an ordinary size", **_grows(1e6, 29.9)),
    silent("two looks", **_grows(1e6, 1e6, rows=2)),
    silent(
        "the last layer gives physical units",
        places=(_W, Place(path="out", kind="module", class_name="torch.nn.Linear", order=3), _OUT),
        activation__absmax={"out": [1e6] * 3},
        weight__l2={"rnn.weight_hh_l0": [1.0] * 3, "out.weight": [0.0] * 3},
        grad__l2={"rnn.weight_hh_l0": [1e6] * 3},
    ),
)
