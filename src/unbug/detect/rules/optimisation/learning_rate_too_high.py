"""Updates are as large as the weights themselves, and the loss is no better for it.

Why it matters: each step overshoots; the loss oscillates or diverges, and units are thrown where they die.
How it decides: over all weights together, the 2-norm of the update is at least `update` times that of the
    weights on `patience` recorded steps in a row, while the gradient is of an ordinary size (else G102
    speaks), and the median of `losses` losses behind it lies above where the loss started. One update is
    enough if it is at least `leap` times the weights and the loss behind it at least `worse` times what it
    was at the start; or if it is at least `far` times the weights, and the median of the five losses behind
    it at least `raised` times; or if nothing moves any more behind it: on `rest` recorded steps no update
    reaches `stuck`, and the loss stays above `better` of what it was at the start.
When it is wrong: updates that are long beside weights that have shrunk to `shrunk` of themselves before are
    left out: something else, as weight decay, shrank them. So are the first steps of weights that start at
    zero, since they have no norm to compare with.
What to do: lower the learning rate by 10 or more; a healthy update is about a thousandth of the weights.
Source: the usual 1e-3 is folklore (Karpathy, CS231n notes); both numbers are ours, see
    `docs/explanation/thresholds.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
    joined,
    silent,
    threshold,
    total_ratio,
    weight_growth,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    update: float = threshold(
        1.0, unit="times the weights' norm", low=0.01, high=1e6, why="healthy: below 0.2"
    )
    leap: float = threshold(
        3.0, unit="times the weights' norm", low=0.1, high=1e6, why="nothing is left of them"
    )
    worse: float = threshold(
        10.0, unit="times the first loss", low=1.0, high=1e9, why="batch noise is below 2"
    )
    far: float = threshold(10.0, unit="times the weights' norm", low=1.0, high=1e6, why="all else is lost")
    raised: float = threshold(
        1.5, unit="times the first loss", low=1.0, high=1e9, why="of five it is no noise"
    )
    shrunk: float = threshold(0.3, unit="of the first norm", low=0.0, high=1.0, why="healthy: above 0.9")
    gradient: float = threshold(100.0, unit="times the weights' norm", low=1, high=1e9, why="as in G102")
    losses: int = threshold(3, unit="steps", low=1, high=100, why="single batches are noisy")
    rest: int = threshold(20, unit="recorded steps", low=2, high=1000, why="no unit came back to life")
    stuck: float = threshold(
        1e-4, unit="times the weights' norm", low=0.0, high=0.1, why="useful: about 1e-3"
    )
    better: float = threshold(0.8, unit="of the first loss", low=0.0, high=1.0, why="healthy: falls further")
    patience: int = threshold(
        2, unit="recorded steps", low=1, high=1000, why="one may be a start from near zero"
    )


@detector(
    "O101",
    "learning-rate-too-high",
    chinese="学习率过高",
    diagnoses=("lr-too-high",),
    reads=("update.ratio", "weight.l2", "grad.l2", "loss.value"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    update, gradient = total_ratio(window, "update.ratio", relative=True), total_ratio(window, "grad.l2")
    loss = window.one("loss.value")
    if update is None or loss is None:
        return
    if _gradient_was_first(update, gradient, at) or not np.isfinite(loss.values[0]):
        return
    norm, first = weight_growth(window), np.flatnonzero(update.values >= min(at.update, at.leap))
    if norm is not None and len(first):
        before = norm.before(int(update.steps[first[0]]) + 1)
        if len(before) and before.values[-1] <= at.shrunk:
            return
    ways = (
        _long(update, loss, at),
        _leap(update, loss, at),
        _stuck(update, loss, at),
        _far(update, loss, at),
    )
    found = [one for one in ways if one is not None]
    if not found:
        return
    streak, worse, limit = min(found, key=lambda one: max(one[1], int(update.steps[one[0].stop - 1])))
    since, reached = int(update.steps[streak.start]), int(update.steps[streak.stop - 1])
    row = int(np.searchsorted(loss.steps, worse))
    known_at, start, then = int(loss.steps[row]), float(loss.values[0]), float(loss.values[row])
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"one update is {update.values[streak].max():.3g} times as long as the weights "
            f"(limit {limit:g}); the loss went from {start:.4g} to {then:.4g} by step {known_at}",
            f"单次更新的长度是权重的 {update.values[streak].max():.3g} 倍（阈值 {limit:g}）；"
            f"损失从 {start:.4g} 变为 {then:.4g}（到第 {known_at} 步）",
        ),
        advice=Bilingual("lower the learning rate by a factor of 10 or more", "把学习率除以 10 或更大的数"),
        steps=(since, max(known_at, reached)),
        known_at=max(known_at, reached),
        evidence=(
            update.evidence(
                streak,
                threshold=limit,
                label=Bilingual("update norm over weight norm", "更新范数与权重范数之比"),
            ),
            loss.evidence(
                slice(0, row + 1),
                threshold=start,
                mark=(known_at,),
                label=Bilingual("loss", "损失"),
            ),
        ),
    )


def _long(update: Track, loss: Track, at: Thresholds) -> tuple[slice, int, float] | None:
    """Updates that were too long in a row, the first step at which the loss was no better, and the limit."""
    streak = first_streak(update.values >= at.update, at.patience)
    if streak is None:
        return None
    after = loss.steps >= update.steps[streak.stop - 1]
    steps, values = loss.steps[after], loss.values[after]
    for row in range(len(values)):
        seen = values[max(row - at.losses + 1, 0) : row + 1]
        if not np.isfinite(values[row]) or (len(seen) == at.losses and np.median(seen) > loss.values[0]):
            return streak, int(steps[row]), at.update
    return None


def _leap(update: Track, loss: Track, at: Thresholds) -> tuple[slice, int, float] | None:
    """One update that threw the weights away, and the first step at which the loss told."""
    rows = np.flatnonzero(update.values >= at.leap)
    if not len(rows) or not loss.values[0] > 0:
        return None
    row = int(rows[0])
    worse = loss.steps[(loss.steps > update.steps[row]) & ~(loss.values < at.worse * loss.values[0])]
    return (slice(row, row + 1), int(worse[0]), at.leap) if len(worse) else None


def _far(update: Track, loss: Track, at: Thresholds) -> tuple[slice, int, float] | None:
    """One update that left all behind, and the fifth of the losses behind it, which lie higher."""
    rows = np.flatnonzero(update.values >= at.far)
    if not len(rows):
        return None
    row = int(rows[0])
    behind = np.flatnonzero(loss.steps > update.steps[row])[:5]
    if len(behind) < 5 or not np.median(loss.values[behind]) >= at.raised * loss.values[0] > 0:
        return None
    return slice(row, row + 1), int(loss.steps[behind[-1]]), at.far


def _stuck(update: Track, loss: Track, at: Thresholds) -> tuple[slice, int, float] | None:
    """One update that threw the weights away, and the step by which nothing had moved since."""
    rows = np.flatnonzero(update.values >= at.leap)
    if not len(rows):
        return None
    row = int(rows[0])
    after = update.values[row + 1 : row + 1 + at.rest]
    if len(after) < at.rest or not (after < at.stuck).all():
        return None
    since, until = int(update.steps[row]), int(update.steps[row + at.rest])
    behind = loss.values[(loss.steps > since) & (loss.steps <= until)]
    told = loss.steps[loss.steps >= until]
    if not len(behind) or not len(told) or not np.median(behind) >= at.better * loss.values[0]:
        return None
    return slice(row, row + 1), int(told[0]), at.leap


def _gradient_was_first(update: Track, gradient: Track | None, at: Thresholds) -> bool:
    """Whether the first update that was too long came of a gradient that was too large: G102 speaks then."""
    if gradient is None:
        return False
    _, length, size = joined(update, gradient)
    too_long = np.flatnonzero(length >= at.update)
    return bool(len(too_long) and size[too_long[0]] >= at.gradient)


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
_WEIGHT = {"fc.weight": [1.0] * 4}
CASES = (
    fires(
        "exactly at both thresholds",
        place="optimizer",
        places=_FC,
        weight__l2=_WEIGHT,
        update__ratio={"fc.weight": [0.1, 1.0, 1.0, 0.1]},
        loss__value={"loss": [2.0, 2.0, 2.01, 2.01, 2.01]},
    ),
    fires(
        "one leap, and nothing moves behind it",
        place="optimizer",
        places=_FC,
        weight__l2={"fc.weight": [1.0] * 21},
        update__ratio={"fc.weight": [3.0] + [0.0] * 20},
        loss__value={"loss": [2.0] + [1.6] * 20},
    ),
    fires(
        "far away, and the loss is higher there",
        place="optimizer",
        places=_FC,
        weight__l2={"fc.weight": [1.0] * 6},
        update__ratio={"fc.weight": [10.0] + [0.1] * 5},
        loss__value={"loss": [2.0] + [3.0] * 5},
    ),
    silent(
        "far away, and it is no higher",
        places=_FC,
        weight__l2={"fc.weight": [1.0] * 6},
        update__ratio={"fc.weight": [10.0] + [0.1] * 5},
        loss__value={"loss": [2.0] + [2.9] * 5},
    ),
    silent(
        "weights that decay shrank before",
        places=_FC,
        weight__l2={"fc.weight": [1.0, 0.3, 0.1, 0.1, 0.1, 0.1]},
        update__ratio={"fc.weight": [0.1, 1.0, 1.0, 1.0, 1.0, 1.0]},
        loss__value={"loss": [2.0] + [2.1] * 5},
    ),
    silent(
        "one leap, and it goes on",
        places=_FC,
        weight__l2={"fc.weight": [1.0] * 21},
        update__ratio={"fc.weight": [3.0] + [1e-4] * 20},
        loss__value={"loss": [2.0] + [1.6] * 20},
    ),
    fires(
        "the loss turns NaN",
        place="optimizer",
        places=_FC,
        weight__l2=_WEIGHT,
        update__ratio={"fc.weight": [1.0, 1.0, 1.0, 1.0]},
        loss__value={"loss": [2.0, 1.0, 1.0, float("nan")]},
    ),
    fires(
        "one leap, and the loss tells",
        place="optimizer",
        places=_FC,
        weight__l2=_WEIGHT,
        update__ratio={"fc.weight": [3.0, 0.5, 0.5, 0.5]},
        loss__value={"loss": [2.0, 20.0, 9.0, 1.0]},
    ),
    silent(
        "one leap, after which the loss is not much worse",
        places=_FC,
        weight__l2=_WEIGHT,
        update__ratio={"fc.weight": [3.0, 0.5, 0.5, 0.5]},
        loss__value={"loss": [2.0, 19.0, 9.0, 1.0]},
    ),
    silent(
        "one step short",
        places=_FC,
        weight__l2=_WEIGHT,
        update__ratio={"fc.weight": [0.1, 1.0, 0.99, 1.0]},
        loss__value={"loss": [2.0, 9.0, 9.0, 9.0]},
    ),
    silent(
        "the loss is no worse",
        places=_FC,
        weight__l2=_WEIGHT,
        update__ratio={"fc.weight": [1.0] * 4},
        loss__value={"loss": [2.0, 1.9, 1.8, 1.7]},
    ),
    silent(
        "the gradient is to blame",
        places=_FC,
        weight__l2=_WEIGHT,
        grad__l2={"fc.weight": [1e3] * 4},
        update__ratio={"fc.weight": [9.0] * 4},
        loss__value={"loss": [2.0, 9.0, 9.0, 9.0]},
    ),
    silent(
        "weights that start at zero",
        places=_FC,
        weight__l2={"fc.weight": [0.0, 0.0, 1.0, 1.0]},
        update__ratio={"fc.weight": [9.0, 9.0, 0.1, 0.1]},
        loss__value={"loss": [2.0, 2.1, 2.1, 2.1]},
    ),
)
