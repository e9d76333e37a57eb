"""What the program clips its gradients to, and how long they were before."""

from __future__ import annotations

import torch

from unbug.record.core import Core
from unbug.record.rows import Later
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
            value = float(norm) if norm.device.type == "cpu" else norm.detach().reshape(1).clone()
            self._core.progress.clips.append((limit, value))

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
                _clip_later(norm, limit) if isinstance(norm, torch.Tensor) else [norm, limit]
            )
            core.rows.add(group, values, micro=max(core.progress.micro - 1, 0))
        core.progress.clips.clear()


def _clip_later(norm: torch.Tensor, limit: float) -> Later:
    return Later(norm, lambda got: [got[0], limit])
