"""Runs of neighbouring true values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["first_streak"]


def first_streak(mask: ArrayLike, patience: int) -> slice | None:
    """Find where a condition first holds `patience` times in a row.

    Args:
        mask: `(rows,)`, booleans. A comparison with a missing value (NaN) is false, and so ends a streak.
        patience: Length asked for, at least 1.
    Returns:
        The first `patience` rows of the first streak that long (later rows never change it), or None.
    Raises:
        ValueError: `patience` is below 1, or the mask has not one dimension.
    """
    values = np.asarray(mask, dtype=bool)
    if values.ndim != 1:
        raise ValueError(f"a mask has one dimension, this one has shape {values.shape}")
    if patience < 1:
        raise ValueError(f"patience is at least 1, not {patience}")
    if values.size < patience:
        return None
    false = np.flatnonzero(~values)
    edges = np.concatenate(([-1], false, [values.size]))
    long = np.flatnonzero(np.diff(edges) > patience)
    if not long.size:
        return None
    start = int(edges[long[0]]) + 1
    return slice(start, start + patience)
