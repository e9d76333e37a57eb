"""How many steps were made before this attempt, as optimizers that were loaded from a file count them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from unbug.record.trainings import Trainings

__all__ = ["resumed_from", "steps_made"]

_COUNTS = ("step", "n_iter")
_MOST = 64


def steps_made(optimizer: Optimizer) -> int | None:
    """The steps that an optimizer made, also in another process; None if it does not keep count.

    Steps that GradScaler skipped are not among them.
    """
    counts: list[int] = []
    for state in islice(optimizer.state.values(), _MOST):
        count = next((state[name] for name in _COUNTS if isinstance(state, dict) and name in state), None)
        if isinstance(count, torch.Tensor) and count.numel() == 1 and not count.is_meta:
            counts.append(int(count.item()))
        elif isinstance(count, int | float):
            counts.append(int(count))
    if counts:
        return max(counts)
    if optimizer.state or _keeps_nothing(optimizer):
        return None
    return 0  # it keeps a count, and has none: it is new


def _keeps_nothing(optimizer: Optimizer) -> bool:
    """Plain gradient descent has no state at all, whatever it did."""
    return isinstance(optimizer, torch.optim.SGD) and not any(
        group.get("momentum") for group in optimizer.param_groups
    )


def resumed_from(trainings: Trainings, number: int) -> int | None:
    """Steps that a training's primary optimizer, or the one that will be, made in earlier attempts."""
    if 0 <= number < len(trainings.all):
        primary = trainings.all[number].primary
        if primary is None:
            return None
        if primary.steps or primary.asked:
            return primary.before
    else:
        primary = max(trainings.waiting(), key=lambda one: one.size, default=None)
    optimizer = None if primary is None else primary.ref()
    return None if optimizer is None else steps_made(optimizer)
