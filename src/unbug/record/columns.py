"""An input as a table: a column for each feature, or for each channel where there are too many features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.inputs import MOST_FEATURES
from unbug.record.tensors import reason_unseen

__all__ = ["Columns", "distinct_of", "readable", "scaling_of", "sums_of", "table_of", "tokens_of"]

_ELEMENTS, _MOST_CHANNELS, _MOST_TOKENS, _DISTINCT, _COUNTED = 65_536, 64, 1_000_000, 4096, 256
_EXACT = 1e-3

Columns = NDArray[np.float64]
"""`(values, columns)`."""


def readable(tensor: torch.Tensor) -> bool:
    """Whether the elements can be read at once: on the CPU, plain, with at least one example."""
    return bool(tensor.device.type == "cpu" and tensor.dim() and tensor.numel() and not reason_unseen(tensor))


def table_of(tensor: torch.Tensor) -> tuple[str, tuple[int, ...], Columns] | None:
    """The first examples of a floating-point input that can be read.

    Returns:
        `feature` or `channel`, the shape of an example, and the table; None for other types.
    """
    if not tensor.is_floating_point():
        return None
    shape = tuple(tensor.shape[1:])
    width = math.prod(shape)
    rows = min(len(tensor), max(1, _ELEMENTS // max(width, 1)))
    values = tensor.detach()[:rows].to(torch.float64).numpy()
    if width <= MOST_FEATURES:
        return "feature", shape, values.reshape(rows, -1)
    axis = _channel_axis(shape)
    if axis is None:
        return "channel", shape, values.reshape(-1, 1)
    return "channel", shape, np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])


def sums_of(table: Columns) -> list[float]:
    """What `Features.merge` takes: for each column count, mean, squares, min, max, NaNs and infinities."""
    nan, inf = np.isnan(table), np.isinf(table)
    finite = ~(nan | inf)
    counts = finite.sum(0).astype(np.float64)
    safe = np.where(finite, table, 0.0)
    mean = np.divide(safe.sum(0), counts, out=np.zeros(table.shape[1]), where=counts > 0)
    gaps = np.where(finite, table - mean, 0.0)
    low = np.where(finite, table, np.inf).min(0)
    high = np.where(finite, table, -np.inf).max(0)
    parts = [counts, mean, (gaps * gaps).sum(0), low, high, nan.sum(0), inf.sum(0)]
    return [float(one) for one in np.concatenate(parts).tolist()]


def scaling_of(table: Columns, *, rows: int) -> str:
    """How a batch looks as if it had been scaled by itself.

    Returns:
        `standard` where every column that varies has mean 0 and standard deviation 1, `unit` where it goes
        from 0 to 1; empty where neither is so, or the batch is too small to tell.
    """
    if rows < 4 or len(table) < 4 or not np.isfinite(table).all():
        return ""
    low, high = table.min(0), table.max(0)
    varied = high > low
    if varied.sum() < 1 or (table.shape[1] > 2 and varied.sum() < 2):
        return ""
    if np.abs(low[varied]).max() <= _EXACT and np.abs(high[varied] - 1).max() <= _EXACT:
        return "unit"
    kept = table[:, varied]
    std = kept.std(0)
    unbiased = std * math.sqrt(len(table) / (len(table) - 1))
    off = min(np.abs(std - 1).max(), np.abs(unbiased - 1).max())
    return "standard" if np.abs(kept.mean(0)).max() <= _EXACT and off <= _EXACT else ""


def distinct_of(table: Columns) -> tuple[int, bool]:
    """Different values among some thousand elements, and whether all are whole numbers."""
    flat = table.reshape(-1)
    flat = flat[:: max(1, len(flat) // _DISTINCT)]
    flat = flat[np.isfinite(flat)]
    return len(np.unique(flat)), bool(len(flat) and (flat == np.round(flat)).all())


def tokens_of(tensor: torch.Tensor) -> dict[str, Any] | None:
    """Of whole numbers, a sequence to an example: the most frequent one, and the share that fills up ends."""
    if tensor.is_floating_point() or tensor.dtype == torch.bool or tensor.dim() != 2:
        return None
    values = tensor.detach()[: max(1, _ELEMENTS // tensor.shape[1])].to(torch.int64).numpy()
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _MOST_TOKENS or values.shape[1] < 4:
        return None
    # Filling up is a run of one number at the end (or the start) of rows of several lengths.
    found: dict[str, Any] = {"tokens": values.size, "padding": None, "padded": 0, "width": values.shape[1]}
    found["counts"] = np.bincount(values.reshape(-1)) if high < _COUNTED else None
    for edge, side in ((values[:, ::-1], "right"), (values, "left")):
        ids, counts = np.unique(edge[:, 0], return_counts=True)
        padding = int(ids[counts.argmax()])
        runs = (np.cumprod(edge == padding, axis=1)).sum(1)
        inside = (values == padding).sum() - runs.sum()
        if runs.max() >= 2 and len(np.unique(runs)) >= 2 and not inside:
            return found | {"padding": padding, "padded": int(runs.sum()), "side": side}
    return found


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """Which axis of the batch holds the channels; None if none does."""
    if len(shape) < 2:
        return None
    first, last = shape[0], shape[-1]
    if first <= _MOST_CHANNELS and first <= last:
        return 1
    return len(shape) if last <= _MOST_CHANNELS else None
