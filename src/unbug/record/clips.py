"""What the program clips its gradients to, and how long they were before."""

from __future__ import annotations

import torch

from unbug.record.core import Core
from unbug.record.gathered import Number
from unbug.record.rows import Later, OfNumbers
from unbug.record.tensors import at_hand
from unbug.record.watched import Watched

__all__ = ["Clips"]

_MOST = 16


class Clips:
    """The clips of the step in progress: kept when they happen, written at the step."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def take(self, limit: float, norm: torch.Tensor | None) -> None:
        """The program clipped: its norm is the global one, before clipping. Written at the step."""
        if norm is not None and len(self._core.progress.clips) < _MOST:
            progress = self._core.progress
            progress.clips.append((limit, float(norm) if at_hand(norm) else progress.gathered.take(norm)))

    def write(self, watched: Watched) -> None:
        """The training that they belong to steps."""
        core = self._core
        if not core.progress.clips:
            return
        if watched.looks is not None:
            watched.looks.clipped()
        group = core.groups.norm(watched.training.number, clipped=True)
        for limit, norm in core.progress.clips:
            values: list[float] | Later = (
                _clip_later(norm, limit) if isinstance(norm, Number) else [norm, limit]
            )
            core.rows.add(group, values, micro=max(core.progress.micro - 1, 0))
        core.progress.clips.clear()


def _clip_later(norm: Number, limit: float) -> Later:
    return OfNumbers([norm], lambda got: [got[0], limit])
