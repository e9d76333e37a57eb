"""Whether a copy gives the same output twice: without that, no change of it means anything."""

from __future__ import annotations

import torch
from torch import nn

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch

__all__ = ["changed_beyond", "steady_output"]

LEAST_CHANGE = 1e-4


def steady_output(subject: Subject, model: nn.Module, batch: KeptBatch, clock: Clock) -> torch.Tensor:
    """The output of a copy in evaluation mode, if it gives it again.

    Raises:
        NotPossible: it gives another one the next time.
    """
    with torch.no_grad():
        first = subject.out(model, batch)
        clock.check()
        second = subject.out(model, batch)
    if first.shape != second.shape or not bool(torch.isfinite(first).all()):
        raise NotPossible("the output is not finite, or not the same twice")
    if float((first - second).abs().max()) > LEAST_CHANGE * spread(first):
        raise NotPossible("in evaluation mode the model gives another output each time")
    return first


def spread(output: torch.Tensor) -> float:
    """What a change is measured by: the standard deviation of the output, never zero."""
    return max(float(output.float().std()), 1e-6) if output.numel() > 1 else 1e-6


def changed_beyond(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Where an output changed by more than rounding does."""
    return (before - after).abs() > LEAST_CHANGE * spread(before)
