"""Does a model's output at the first places of a sequence depend on the last ones?"""

from __future__ import annotations

import torch

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.later_positions import replaced
from unbug.checks.probes.repeatable import changed_beyond
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch, tensors_in

__all__ = ["sees_later"]


def sees_later(subject: Subject, batch: KeptBatch, clock: Clock) -> bool | None:
    """Replace the tokens of the second half, and look at the output of the first.

    Returns:
        None where that cannot be told.
    """
    tensors = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))]
    if not tensors or tensors[0].dim() != 2 or tensors[0].is_floating_point():
        return None
    given = tensors[0]
    half = given.shape[1] // 2
    model = subject.model()
    try:
        with torch.no_grad():
            clock.check()
            before = subject.out(model, batch)
            after = subject.out(model, batch, {0: replaced(given, 1, half, given.shape[1])})
    except NotPossible:
        return None
    if before.shape != after.shape or before.shape[0] != given.shape[0]:
        if before.dim() < 1 or before.shape[0] != given.numel() or before.shape != after.shape:
            return None
        before = before.reshape(*given.shape, -1)
        after = after.reshape(*given.shape, -1)
    if before.dim() < 2 or before.shape[1] != given.shape[1]:
        return None
    if not bool(changed_beyond(before[:, half:], after[:, half:]).any()):
        return None
    return bool(changed_beyond(before[:, :half], after[:, :half]).any())
