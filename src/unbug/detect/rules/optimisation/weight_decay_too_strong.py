"""Weight decay shrinks the weights faster than the loss can grow them.

Why it matters: the weights go to zero whatever the data say; the model forgets what it starts from and can
    only learn what a few small weights express.
How it decides: what decay alone takes off the weights in a step (learning rate times `weight_decay`, for
    optimizers that decay by themselves, else `weight_decay` times the weights against the gradient) is at
    least `share` of the update, or of the gradient, in half of the recorded looks at single weights up to
    the step at which the norm over all weights had fallen to `shrunk` of the first one, or to which one
    step `patience` steps in a row showed the same.
When it is wrong: weights that were made far too large on purpose. Decay that only balances the gradient
    late in a training is not told: the weights must have shrunk.
What to do: lower `weight_decay` to 1e-4 (SGD) or 1e-2 (AdamW).
Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101, for the two
    kinds of decay; the numbers are ours, see `docs/explanation/thresholds.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
    Setup,
    Severity,
    Window,
    detector,
    event,
    fires,
    joined,
    matrices,
    setups,
    silent,
    stepping,
    threshold,
    up_to,
    weight_growth,
)

_DECOUPLED = frozenset(["AdamW", "Lion", "Muon", "Adafactor"])


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.5, unit="of the step", low=0.05, high=1.0, why="healthy: below 0.15")
    shrunk: float = threshold(0.6, unit="of the first norm", low=0.01, high=0.95, why="healthy: above 0.9")
    patience: int = threshold(5, unit="looks", low=2, high=1000, why="outlasts one odd batch")


@detector(
    "O104",
    "weight-decay-too-strong",
    chinese="权重衰减过强",
    diagnoses=("weight-decay-too-strong",),
    reads=("weight.l2", "grad.l2", "update.ratio", "optimizer.lr"),
    events=("optimizer",),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    setup, norm = stepping(window), weight_growth(window)
    if setup is None or norm is None or setup.number("weight_decay") <= 0 or len(setups(window)) > 1:
        return
    small = np.flatnonzero(norm.values <= at.shrunk)
    foreseen = _foreseen(window, setup, at)
    if not len(small) and foreseen is None:
        return
    row = int(small[0]) if len(small) else up_to(norm, foreseen or 0) - 1
    known_at = int(norm.steps[row]) if len(small) else foreseen or 0
    left = float(norm.values[row]) if len(small) else at.shrunk / 2
    before = _pull(window, setup, known_at)
    if len(before) < at.patience or float(np.median(before)) < at.share:
        return
    decay = setup.number("weight_decay")
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"weight_decay {decay:g} shrank the weights to {left:.0%} of their "
            f"norm by step {known_at}; it makes {min(float(np.median(before)), 1.0):.0%} of each step, "
            f"the loss "
            "only the rest",
            f"weight_decay {decay:g} 使权重范数缩小到 {left:.0%}"
            f"（到第 {known_at} 步）；每一步中 {min(float(np.median(before)), 1.0):.0%} 来自衰减，其余才来"
            f"自损失",
        ),
        advice=Bilingual(
            "lower weight_decay, to 1e-4 for SGD or 1e-2 for AdamW",
            "降低 weight_decay：SGD 用 1e-4，AdamW 用 1e-2",
        ),
        steps=(int(norm.steps[0]), known_at),
        known_at=known_at,
        source=setup.source,
        evidence=(
            norm.evidence(
                slice(0, row + 1),
                threshold=at.shrunk,
                above=False,
                mark=(known_at,),
                label=Bilingual("norm over all weights, the first being 1", "所有权重的范数（首次为 1）"),
            ),
        ),
    )


def _foreseen(window: Window, setup: Setup, at: Thresholds) -> int | None:
    """The step by which decoupled decay alone leaves half of `shrunk`, where few weights were recorded."""
    rate = window.one("optimizer.lr")
    if rate is None or not _is_decoupled(setup):
        return None
    left = np.exp(-np.cumsum(setup.number("weight_decay") * rate.values))
    below = np.flatnonzero(left <= at.shrunk / 2)
    return int(rate.steps[below[0]]) if len(below) else None


def _is_decoupled(setup: Setup) -> bool:
    return setup.class_name in _DECOUPLED or setup.options.get("decoupled_weight_decay") is True


def _pull(window: Window, setup: Setup, until: int) -> np.ndarray:
    """What decay makes of the steps up to one, each weight by itself: of the update where it is decoupled,
    else of gradient and decay together."""
    decay = setup.number("weight_decay")
    found: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        if _is_decoupled(setup):
            rate = window.one("optimizer.lr")
            if rate is not None:
                for track in matrices(window, "update.ratio"):
                    _, length, lr = joined(track.before(until + 1), rate)
                    found.append(decay * lr / length)
        else:
            weights = {track.place: track for track in matrices(window, "weight.l2")}
            for track in matrices(window, "grad.l2"):
                weight = weights.get(track.place)
                seen = track.before(until + 1)
                if weight is not None and len(seen):
                    gradient = seen.values / np.interp(seen.steps, weight.steps, weight.values)
                    found.append(decay / (decay + gradient))
    pulls: np.ndarray = np.concatenate([*found, np.zeros(0)])
    return np.compress(np.isfinite(pulls), pulls)


def _decaying(weight_decay: float, name: str = "sgd.SGD") -> Event:
    group = {"lr": 0.1, "weight_decay": weight_decay, "elements": 16}
    return event("optimizer", **dict[str, Any]({"class": f"torch.optim.{name}", "groups": [group]}))


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
_SHRINKS: dict[str, Any] = {"places": _FC, "weight__l2": {"fc.weight": [1.0, 0.9, 0.8, 0.7, 0.6]}}
CASES = (
    fires(
        "as strong as the gradient",
        place="optimizer",
        events=(_decaying(0.5),),
        grad__l2={"fc.weight": [0.5, 0.45, 0.4, 0.35, 0.3]},
        **_SHRINKS,
    ),
    fires(
        "decoupled, half of the update",
        events=(_decaying(0.5, "adamw.AdamW"),),
        update__ratio={"fc.weight": [0.1] * 5},
        optimizer__lr={"optimizer group 0": [0.1] * 5},
        **_SHRINKS,
    ),
    fires(
        "decoupled, and few weights were recorded",
        events=(_decaying(3.0, "adamw.AdamW"),),
        places=_FC,
        update__ratio={"fc.weight": [0.3] * 5},
        weight__l2={"fc.weight": [1.0]},
        optimizer__lr={"optimizer group 0": [0.1] * 5},
    ),
    silent(
        "the gradient shrinks them",
        events=(_decaying(0.5),),
        grad__l2={"fc.weight": [0.6, 0.54, 0.48, 0.42, 0.36]},
        **_SHRINKS,
    ),
    silent(
        "decoupled, just below half of the update",
        events=(_decaying(0.49, "adamw.AdamW"),),
        update__ratio={"fc.weight": [0.1] * 5},
        optimizer__lr={"optimizer group 0": [0.1] * 5},
        **_SHRINKS,
    ),
    silent("no decay", events=(_decaying(0.0),), grad__l2={"fc.weight": [0.0] * 5}, **_SHRINKS),
    silent(
        "decay balances the gradient, the weights stay",
        events=(_decaying(0.5),),
        places=_FC,
        grad__l2={"fc.weight": [0.1] * 9},
        weight__l2={"fc.weight": [1.0, 0.9, 0.8, 0.7, 0.61, 0.61, 0.61, 0.61, 0.61]},
    ),
    silent(
        "too few steps",
        events=(_decaying(9.0),),
        places=_FC,
        grad__l2={"fc.weight": [0.1] * 4},
        weight__l2={"fc.weight": [1.0, 0.5, 0.2, 0.1]},
    ),
)
