"""Gradients that were not finite after backward, and are when the optimizer gets them: the `masked` event."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from unbug.hooks import user_frame
from unbug.record.refs import TensorRef
from unbug.record.tensors import reason_unseen

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.trainings import OptimizerState
    from unbug.record.watched import Watched

__all__ = ["Masked", "is_due"]

_FIRST, _EVERY = 20, 100
_REPRESENTATIVES, _MOST_ELEMENTS = 4, 4096
_MOST_TOLD = 5


def is_due(step: int) -> bool:
    """Whether gradients are looked at in a step, between backward and the optimizer."""
    return step < _FIRST or step % _EVERY == 0


class Masked:
    """Looks at the smallest gradients on the CPU, whose sums take a few microseconds."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._chosen: dict[int, list[TensorRef]] = {}
        self._bad_at: tuple[int, int] = (-1, -1)
        self._told = 0

    def backward_ended(self, watched: Watched) -> None:
        """Gradients are as backward made them."""
        training = watched.training
        primary = training.primary
        if primary is None or self._told >= _MOST_TOLD:
            return
        chosen = self._chosen.get(primary.order)
        if chosen is None:
            chosen = self._chosen[primary.order] = _smallest(primary)
        if not _finite(chosen):
            self._bad_at = training.number, training.steps

    def before_step(self, watched: Watched, state: OptimizerState) -> None:
        """The optimizer is about to use them."""
        training = watched.training
        if self._bad_at != (training.number, training.steps):
            return
        self._bad_at = -1, -1
        chosen = self._chosen.get(state.order, [])
        if chosen and _finite(chosen):
            self._told += 1
            frame = user_frame()
            fields = {"file": frame.file, "line": frame.line} if frame is not None else {}
            self._core.event(
                "masked", {"what": "gradient", **fields}, training=training.number, step=training.steps
            )


def _smallest(state: OptimizerState) -> list[TensorRef]:
    alive = [(reference, one) for reference in state.parameters.values() if (one := reference()) is not None]
    usable = [
        (one.numel(), reference)
        for reference, one in alive
        if one.device.type == "cpu" and one.numel() <= _MOST_ELEMENTS and not reason_unseen(one)
    ]
    return [reference for _, reference in sorted(usable, key=lambda pair: pair[0])[:_REPRESENTATIVES]]


def _finite(chosen: list[TensorRef]) -> bool:
    with torch.no_grad():
        for reference in chosen:
            parameter = reference()
            gradient = parameter.grad if parameter is not None else None
            if gradient is not None and not gradient.is_sparse and not math.isfinite(float(gradient.sum())):
                return False
    return True
