"""Gradients fade on their way to the first layers.

Why it matters: the first layers hardly learn; what they pass on stays random.
How it decides: relative to its weights, the gradient of the first third of the layers is at most `share` of
    that of the last third (medians), on `patience` consecutive recorded steps, in networks of at least
    `layers` weights; from the first step on `born` is enough, since nothing was learned yet that could be
    done. Exact zeros are another fault (dead units, a cut graph). Embeddings are left out: most
    of their rows get no gradient in one step.
When it is wrong: layers that were trained before and are done; adaptive optimizers make up for small
    gradients, so that with them it is a note, unless it was so from the start for `lasting` steps: what
    arrives is noise then, which they make large.
What to do: use ReLU-like activations, residual connections or normalisation, and an initialisation that
    fits.
Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
    for the mechanism; the numbers are ours, see `docs/explanation/thresholds.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbug.detect.contract import (
    ADAPTIVE,
    Bilingual,
    Finding,
    Place,
    Severity,
    Track,
    Training,
    Window,
    detector,
    fires,
    joined,
    matrices,
    silent,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(1e-4, unit="fraction", low=1e-9, high=0.1, why="healthy: above 0.1")
    born: float = threshold(1e-3, unit="fraction", low=1e-9, high=0.1, why="healthy at the start: above 0.01")
    lasting: int = threshold(30, unit="recorded steps", low=2, high=10**6, why="units had time to wake up")
    layers: int = threshold(4, unit="weights", low=3, high=1000, why="fewer have no depth to fade in")
    patience: int = threshold(10, unit="recorded steps", low=1, high=10_000, why="outlasts one odd batch")


@detector(
    "G103",
    "vanishing-gradient",
    chinese="梯度消失",
    diagnoses=("vanishing-gradient",),
    reads=("grad.l2", "weight.l2"),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    norms = {track.place: track for track in matrices(window, "weight.l2")}
    layers = [track for track in matrices(window, "grad.l2") if track.place in norms]
    if len(layers) < at.layers:
        return
    relative = {}
    for track in layers:
        steps, gradient, weight = joined(track, norms[track.place])
        with np.errstate(all="ignore"):
            relative[track.place] = dict(zip(steps.tolist(), (gradient / weight).tolist(), strict=True))
    third = max(1, len(layers) // 3)
    early, late = layers[:third], layers[-third:]
    rows = []
    for step in early[0].steps.tolist():
        seen = [[relative[t.place].get(step, np.nan) for t in part] for part in (early, late)]
        first, last = (float(np.median(values)) for values in seen)
        if np.isfinite(first) and np.isfinite(last):
            rows.append((step, first / last if last > 0 else np.nan))
    shares = np.array([share for _, share in rows])
    adaptive = bool(window.training.optimizers) and window.training.optimizers[0] in ADAPTIVE
    faint = (shares <= at.born) & (shares > 0)
    looks = at.lasting if adaptive else at.patience
    if len(faint) >= looks and faint[:looks].all() and rows[0][0] <= 2:
        yield _finding(layers[0], rows, shares, slice(0, looks), at.born, None)
        if not adaptive:
            return
    streak = first_streak((shares <= at.share) & (shares > 0), at.patience)
    if streak is not None:
        yield _finding(layers[0], rows, shares, streak, at.share, Severity.NOTE if adaptive else None)


def _finding(
    worst: Track,
    rows: list[tuple[int, float]],
    shares: NDArray[np.float64],
    streak: slice,
    limit: float,
    severity: Severity | None,
) -> Finding:
    since, known_at = rows[streak.start][0], rows[streak.stop - 1][0]
    looks = streak.stop - streak.start
    part = slice(*np.searchsorted(worst.steps, [since, known_at + 1]).tolist())
    return Finding(
        place=worst.place,
        message=Bilingual(
            f"relative to their weights, gradients of the first layers are {shares[streak].max():.1e} of "
            f"those of the last (limit {limit:g}), on {looks} recorded steps",
            f"相对于各自的权重，前几层的梯度只有最后几层的 {shares[streak].max():.1e}"
            f"（阈值 {limit:g}），持续 {looks} 个记录步",
        ),
        advice=Bilingual(
            "use ReLU-like activations, residual connections or normalisation between the layers",
            "在层间使用 ReLU 类激活、残差连接或归一化",
        ),
        severity=severity,
        steps=(since, known_at),
        known_at=known_at,
        evidence=(
            worst.evidence(
                part, label=Bilingual(f"gradient norm of {worst.place}", f"{worst.place} 的梯度范数")
            ),
        ),
    )


def _layers(count: int) -> tuple[Place, ...]:
    return tuple(Place(path=f"{n}.weight", kind="parameter", shape=(4, 4), order=n) for n in range(count))


def _constant(values: list[float], steps: int = 10) -> dict[str, list[float]]:
    return {f"{n}.weight": [value] * steps for n, value in enumerate(values)}


_FADING = [1e-4, 1e-2, 1e-1, 1.0]
CASES = (
    fires(
        "exactly at all thresholds",
        place="0.weight",
        places=_layers(4),
        grad__l2=_constant(_FADING),
        weight__l2=_constant([1.0] * 4),
    ),
    fires(
        "an adaptive optimizer hides it",
        severity=Severity.NOTE,
        places=_layers(4),
        grad__l2=_constant(_FADING),
        weight__l2=_constant([1.0] * 4),
        training=Training(number=0, steps=10, optimizers=("Adam",)),
    ),
    fires(
        "from the start on, less is enough",
        places=_layers(4),
        grad__l2=_constant([1e-3, 1e-2, 1e-1, 1.0]),
        weight__l2=_constant([1.0] * 4),
    ),
    fires(
        "from the start on, and long, with an adaptive optimizer",
        severity=Severity.WARNING,
        places=_layers(4),
        grad__l2=_constant([1e-3, 1e-2, 1e-1, 1.0], 30),
        weight__l2=_constant([1.0] * 4, 30),
        training=Training(number=0, steps=30, optimizers=("Adam",)),
    ),
    silent(
        "one step short",
        places=_layers(4),
        grad__l2=_constant(_FADING, 9),
        weight__l2=_constant([1.0] * 4, 9),
    ),
    silent(
        "just above the share",
        places=_layers(4),
        grad__l2=_constant([1.01e-3, 1e-2, 1e-1, 1.0]),
        weight__l2=_constant([1.0] * 4),
    ),
    silent(
        "too few layers",
        places=_layers(3),
        grad__l2=_constant([1e-6, 1e-2, 1.0]),
        weight__l2=_constant([1.0] * 3),
    ),
    silent(
        "exactly zero is another fault",
        places=_layers(4),
        grad__l2=_constant([0.0, 0.0, 0.0, 1.0]),
        weight__l2=_constant([1.0] * 4),
    ),
)
