"""The stored statistics of a tensor on a device: computed there, without waiting for them."""

from __future__ import annotations

import math

import torch

from unbug.record.tensors import Unseen, reason_unseen

__all__ = ["DEVICE_ELEMENTS", "device_statistics", "finish_statistics"]

DEVICE_ELEMENTS = 4 << 20
"""Elements looked at, so that temporary memory on the device stays below some 64 MB."""


def device_statistics(tensor: torch.Tensor, *, limits: tuple[float, float] | None = None) -> torch.Tensor:
    """Queue the computation of the stored statistics.

    Args:
        limits: As in `numerics.summarize`.
    Returns:
        `(9,)` float64 on the tensor's device, in the order of `types.STORED_STATISTICS`.
    Raises:
        Unseen: the tensor cannot be summarised.
    """
    reason = reason_unseen(tensor)
    if reason:
        raise Unseen(reason)
    with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
        flat = tensor.detach().reshape(-1)[:DEVICE_ELEMENTS]
        values = flat.double() if flat.dtype in (torch.float64, torch.int64, torch.int32) else flat.float()
        count = values.numel()
        nan, inf = torch.isnan(values), torch.isinf(values)
        finite = ~(nan | inf)
        n = finite.sum(dtype=torch.float64)
        kept = torch.where(finite, values, 0)
        mean = kept.sum(dtype=torch.float64) / n
        gaps = torch.where(finite, values.double() - mean, 0)
        parts = [
            torch.full_like(n, count),
            mean,
            torch.where(n > 0, (gaps * gaps).sum(), math.nan),
            torch.where(finite, values, math.inf).amin().double() if count else mean,
            torch.where(finite, values, -math.inf).amax().double() if count else mean,
            (values == 0).sum(dtype=torch.float64),
            nan.sum(dtype=torch.float64),
            inf.sum(dtype=torch.float64),
            torch.full_like(n, math.nan)
            if limits is None
            else ((values <= limits[0]) | (values >= limits[1])).sum(dtype=torch.float64),
        ]
        return torch.stack(parts)


def finish_statistics(values: list[float]) -> list[float]:
    """What is undefined where no element is finite becomes NaN."""
    count, nans, infs = values[0], values[6], values[7]
    if count - nans - infs == 0:
        values[1:5] = [math.nan] * 4
    return values
