"""Looks at a tensor on a device: queued behind the program's work, read when they are done.

Nothing here waits: no value is asked for, no shape depends on one, and everything goes to the stream that the
program is using. While that stream is captured into a graph nothing is queued, since it would be replayed
with the program's work ever after. What is computed does not depend on the order of additions that atomics
choose, so that it runs under `torch.use_deterministic_algorithms` too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from unbug.numerics import encode_histogram
from unbug.record.tensors import Unseen, reason_unseen

__all__ = [
    "DEVICE_ELEMENTS",
    "DEVICE_EXPONENTS",
    "device_difference",
    "device_norm",
    "device_statistics",
    "device_summary",
    "finish_difference",
    "finish_statistics",
    "finish_summary",
    "queued_statistics",
    "queued_summary",
]

DEVICE_ELEMENTS = 4 << 20
"""Elements looked at, so that temporary memory on the device stays below some 64 MB."""

DEVICE_EXPONENTS = 1 << 20
"""Elements, evenly spread, whose exponents are counted."""

_STATISTICS = 9
_WIDE = {torch.float64, torch.int64, torch.int32}


def device_statistics(tensor: torch.Tensor, *, limits: tuple[float, float] | None = None) -> torch.Tensor:
    """Queue the computation of the stored statistics.

    Args:
        limits: As in `numerics.summarize`.
    Returns:
        `(9,)` on the tensor's device, in the order of `types.STORED_STATISTICS`; for `finish_statistics`.
    Raises:
        Unseen: the tensor cannot be summarised, or the stream is being captured.
    """
    _refuse(tensor)
    return queued_statistics(tensor, limits=limits)


def device_summary(tensor: torch.Tensor, *, limits: tuple[float, float] | None = None) -> torch.Tensor:
    """Queue the computation of the stored statistics and of the exponents of a floating-point tensor.

    Returns:
        One vector on the tensor's device, for `finish_summary`.
    Raises:
        Unseen: as `device_statistics`; integers have no exponents.
    """
    _refuse(tensor)
    if not tensor.is_floating_point():
        raise Unseen("integers")
    return queued_summary(tensor, limits=limits)


def device_difference(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Queue the statistics of what was added to `before`, and the size of that, for `finish_difference`.

    Raises:
        Unseen: as `device_statistics`.
    """
    _refuse(after)
    with torch.no_grad(), torch.autocast(after.device.type, enabled=False):
        found = queued_statistics(after.detach().to(before.dtype) - before)
        size = torch.linalg.vector_norm(before, dtype=found.dtype).reshape(1)
        return torch.cat([found, size])


def device_norm(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Queue the 2-norm of all elements of these floating-point tensors, which lie on one device."""
    with torch.no_grad(), torch.autocast(tensors[0].device.type, enabled=False):
        parts = [one.detach() for one in tensors]
        wide = torch.float64 if any(one.dtype == torch.float64 for one in parts) else torch.float32
        return torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(parts, 2, dtype=wide))))


def finish_difference(values: list[float]) -> list[float]:
    """The statistics of a change and, as a tenth number, its 2-norm over that of the block before."""
    before = values[9]
    found = finish_statistics(values[:9])
    count, mean, m2 = found[:3]
    change = math.sqrt(m2 + count * mean * mean) if count and not found[6] and not found[7] else math.nan
    return [*found, change / before if before > 0 else math.nan]


def finish_statistics(values: list[float]) -> list[float]:
    """The statistics from what arrived: what is undefined where no element is finite becomes NaN."""
    count, nans, infs = values[0], values[6], values[7]
    if count - nans - infs == 0:
        values[1:5] = [math.nan] * 4
    return values


def finish_summary(values: Sequence[float]) -> tuple[list[float], bytes]:
    """The statistics and the packed exponents from what arrived."""
    looked_at, zeros, *below = (int(value) for value in values[_STATISTICS:])
    counts = [many - few for few, many in zip([0, *below[:-1]], below, strict=True)]
    top = len(counts) - 1
    counts[0] -= zeros
    packed = encode_histogram(-(top // 2), counts[:top], zeros, counts[top], looked_at)
    return finish_statistics(list(values[:_STATISTICS])), packed


def queued_statistics(tensor: torch.Tensor, *, limits: tuple[float, float] | None = None) -> torch.Tensor:
    """As `device_statistics`, for a tensor that is known to be one that can be looked at."""
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
        flat = tensor.detach().reshape(-1)
        flat = flat.narrow(0, 0, min(flat.numel(), DEVICE_ELEMENTS))
        values = flat.to(wide) if flat.dtype in _WIDE else flat.float()
        none = torch.full((), math.nan, dtype=wide, device=values.device)
        count = values.numel()
        if not count:
            zero = torch.zeros_like(none)
            parts = [zero, none, none, none, none, zero, zero, zero, none if limits is None else zero]
            return torch.stack(parts)
        nan, inf = torch.isnan(values), torch.isinf(values)
        finite = torch.logical_or(nan, inf).logical_not()
        n = finite.sum(dtype=wide)
        mean = torch.where(finite, values, 0).sum(dtype=wide) / n
        # What rounding the mean to the elements' type leaves is taken off again: both sums are in double.
        gaps = torch.where(finite, values - mean.to(values.dtype), 0)
        rest = gaps.sum(dtype=wide)
        squares = torch.linalg.vector_norm(gaps, dtype=wide).square()
        parts = [
            torch.full_like(none, count),
            mean,
            (squares - rest * (rest / n)).clamp_min(0),
            torch.where(finite, values, math.inf).amin().to(wide),
            torch.where(finite, values, -math.inf).amax().to(wide),
            (values == 0).sum(dtype=wide),
            nan.sum(dtype=wide),
            inf.sum(dtype=wide),
            none
            if limits is None
            else torch.logical_or(values <= limits[0], values >= limits[1]).sum(dtype=wide),
        ]
        return torch.stack(parts)


def queued_summary(tensor: torch.Tensor, *, limits: tuple[float, float] | None = None) -> torch.Tensor:
    """As `device_summary`, for a floating-point tensor that is known to be one that can be looked at."""
    found = queued_statistics(tensor, limits=limits)
    with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
        flat = tensor.detach().reshape(-1)
        stride = max(1, -(-flat.numel() // DEVICE_EXPONENTS))
        some = torch.ops.aten.slice.Tensor(flat, 0, None, None, stride)
        some = some.clone(memory_format=torch.contiguous_format)
        if some.dtype == torch.float64:
            bits, shift, top, kind = some.view(torch.int64), 52, 2047, torch.int16
        else:
            bits, shift, top, kind = some.float().view(torch.int32), 23, 255, torch.uint8
        exponents = torch.bitwise_and(bits >> shift, top).to(kind)
        # How many are at or below each: neither a size that depends on values, as of bincount, nor atomics.
        every = torch.arange(top + 1, dtype=kind, device=exponents.device)
        below = torch.searchsorted(exponents.sort().values, every, right=True)
        looked_at = torch.full((1,), some.numel(), dtype=found.dtype, device=found.device)
        zeros = (some == 0).sum(dtype=found.dtype).reshape(1)
        return torch.cat([found, looked_at, zeros, below.to(found.dtype)])


def _refuse(tensor: torch.Tensor) -> None:
    """Raise `Unseen` where nothing may be queued."""
    reason = reason_unseen(tensor)
    if reason:
        raise Unseen(reason)
    if tensor.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise Unseen("the stream is being captured")
