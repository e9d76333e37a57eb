"""What a step changed: a copy of a block of the parameter before it, in buffers that are made once."""

from __future__ import annotations

import math

import torch

from unbug.numerics import Scratch
from unbug.record.device import device_difference
from unbug.record.tensors import (
    Unseen,
    at_hand,
    difference_of,
    flat_view,
    reason_unseen,
    squares_of,
    statistics_of,
)

__all__ = ["BLOCK", "Before"]

BLOCK = 65_536
"""Elements of a parameter whose change is looked at; the block moves from look to look."""
_POOL = 32 * BLOCK
_STRIDE = 7_368_787


class Before:
    """Blocks of parameters as they were before the step; at most 8 MB in all."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[torch.Tensor, int]] = {}
        self._pools: dict[torch.dtype, torch.Tensor] = {}
        self._used: dict[torch.dtype, int] = {}

    def clear(self) -> None:
        """Forget all blocks; the buffers stay."""
        self._kept.clear()
        self._used.clear()

    def keep(self, number: int, tensor: torch.Tensor, step: int) -> str:
        """Copy a block of a parameter; returns why not, or an empty string."""
        reason = reason_unseen(tensor)
        if reason or not tensor.is_floating_point():
            return reason or "not floating point"
        flat = flat_view(tensor.detach())
        if flat is None:
            return "not dense"
        size = min(flat.numel(), BLOCK)
        kind = torch.float64 if tensor.dtype == torch.float64 else torch.float32
        used = self._used.get(kind, 0)
        if not at_hand(tensor):
            if used + size > _POOL:
                return "no room left in this step"
            start = (step * _STRIDE) % (flat.numel() - size + 1)
            with torch.no_grad():
                self._kept[number] = flat[start : start + size].to(kind, copy=True), start
            self._used[kind] = used + size
            return ""
        buffer = self._room(kind, used + size)
        if buffer is None:
            return "no room left in this step"
        start = (step * _STRIDE) % (flat.numel() - size + 1)
        block = buffer[used : used + size]
        block.copy_(flat[start : start + size])
        self._used[kind] = used + size
        self._kept[number] = block, start
        return ""

    def difference(
        self, number: int, tensor: torch.Tensor, scratch: Scratch
    ) -> tuple[float, ...] | torch.Tensor | None:
        """Statistics of the change and, as a tenth number, its 2-norm over that of the block before.

        Returns:
            On a device a vector for `device.finish_difference`; None where there is nothing to compare.
        """
        kept = self._kept.pop(number, None)
        flat = flat_view(tensor.detach())
        if kept is None or flat is None:
            return None
        block, start = kept
        if flat.numel() < start + block.numel():
            return None
        part = flat[start : start + block.numel()]
        try:
            if not at_hand(tensor):
                return device_difference(part, block) if part.device == block.device else None
            both = difference_of(part, block, scratch)
            if both is None:
                squares = squares_of(block, scratch)
                with torch.no_grad():
                    torch.sub(part, block, out=block)
                found = statistics_of(block, scratch)
            else:
                found, squares = both
        except Unseen:
            return None
        before = math.sqrt(squares)
        count, mean, m2 = found[:3]
        change = math.sqrt(m2 + count * mean * mean) if not found[6] and not found[7] and count else math.nan
        return (*found, change / before if before > 0 else math.nan)

    def _room(self, kind: torch.dtype, size: int) -> torch.Tensor | None:
        pool = self._pools.get(kind)
        if pool is not None and pool.numel() >= size:
            return pool
        if size > _POOL:
            return None
        if self._used.get(kind):
            grown = torch.empty(min(_POOL, 2 * size), dtype=kind)
            self._pools[kind] = grown
            return grown
        self._pools[kind] = torch.empty(min(_POOL, max(size, BLOCK)), dtype=kind)
        return self._pools[kind]
