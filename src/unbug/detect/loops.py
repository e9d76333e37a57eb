"""What kind of training it is: supervised or not, one optimizer or several at once; losses that compare."""

from __future__ import annotations

import re
from math import log
from typing import TYPE_CHECKING

import numpy as np

from unbug.detect.measures import total_ratio
from unbug.detect.sites import loss_sites
from unbug.detect.structure import modes, orders
from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.detect.track import Track
    from unbug.detect.window import Window

__all__ = [
    "alternating",
    "comparable_loss",
    "crawls",
    "even_loss",
    "good_from_start",
    "moved",
    "supervised",
    "up_to",
]


def alternating(window: Window) -> bool:
    """Whether several optimizers step in turn (GAN, actor and critic): one loss alone tells little then."""
    words = [word for _, word in orders(window)]
    if words:
        return any("s" in word for word in words)
    return len(window.training.optimizers) > 1


def supervised(window: Window) -> bool:
    """One forward for each backward, a loss function of PyTorch that something is trained on, and no policy
    gradient: a loss of both signs is no measure of progress."""
    words = [word for _, word in orders(window)]
    busy = [word for word in words if len(re.findall("F", word)) > len(re.findall("B", word))]
    if not loss_sites(window, phase=Phase.TRAIN) or len(busy) * 2 > len(words):
        return False
    loss = window.one("loss.value")
    return not _rolls_out(window) and (loss is None or not (loss.values < 0).any())


def _rolls_out(window: Window) -> bool:
    """Whether the trained model also runs without gradients, in training mode, for no loss: it acts."""
    seen = modes(window)
    trained = {one.module for one in seen if one.grad and one.fields.get("training")}
    acts = any(not one.grad and one.fields.get("training") and one.module in trained for one in seen)
    return acts and not loss_sites(window, phase=Phase.EVAL)


def comparable_loss(window: Window) -> Track | None:
    """The training loss at the steps of the commonest number of backward calls: `loss.value` is their sum."""
    loss = window.one("loss.value")
    micro = window.one("step.micro_steps")
    if loss is None or micro is None:
        return loss
    counts, number = np.unique(micro.values, return_counts=True)
    if len(counts) < 2:
        return loss
    usual = micro.steps[micro.values == counts[number.argmax()]]
    rows = np.flatnonzero(np.isin(loss.steps, usual))
    return loss.with_rows(loss.steps[rows], loss.values[rows]) if len(rows) < len(loss) else loss


def even_loss(window: Window) -> Track | None:
    """The training loss up to the first change of the number of backward calls in a step."""
    loss, micro = window.one("loss.value"), window.one("step.micro_steps")
    if loss is None or micro is None or not len(micro):
        return loss
    changed = np.flatnonzero(micro.values != micro.values[0])
    return loss.before(int(micro.steps[changed[0]])) if len(changed) else loss


def moved(window: Window) -> float | None:
    """Length of the way that the weights went, in their norms: the sum of all updates over all steps."""
    ratio = total_ratio(window, "update.ratio", relative=True)
    if ratio is None:
        return None
    known = np.isfinite(ratio.values)
    if not known.any():
        return None
    gaps = np.diff(np.append(ratio.steps[known], max(window.steps, int(ratio.steps[-1]) + 1)))
    return float(np.sum(ratio.values[known] * gaps))


def crawls(window: Window, step: float, whole: float) -> bool:
    """Whether the weights moved, but by no more than a share of their norm in a step, and in all."""
    way = moved(window)
    return way is not None and 0 < way <= min(step * max(window.steps, 1) * (1 + 1e-9), whole)


def good_from_start(window: Window, start: float, good: float) -> bool:
    """Whether a classification began far below the loss of guessing: at `good` times ln(classes)."""
    classes = [int(p.get("classes") or 0) for s in loss_sites(window, "cross_entropy") for _, p in s.profiles]
    return max(classes, default=0) > 1 and start < good * log(max(classes))


def up_to(track: Track, step: int) -> int:
    """How many rows of a track are of that step or earlier ones."""
    return int(np.searchsorted(track.steps, step, side="right"))
