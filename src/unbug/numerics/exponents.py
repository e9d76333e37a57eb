"""Counts of binary exponents, read from the bits of the elements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["exponent_counts"]


def exponent_counts(flat: NDArray[np.floating]) -> tuple[int, NDArray[np.int64], int, int]:
    """Count how often each binary exponent occurs.

    Args:
        flat: `(elements,)`, float32 or float64.
    Returns:
        Exponent of the first bin; counts of consecutive exponents, elements with `2**e <= |x| < 2**(e + 1)`
        (the subnormal ones all in the first bin); number of zeros; number of NaN and infinities.
    Raises:
        TypeError: another dtype.
    """
    if flat.dtype == np.float32:
        bits, shift, top = flat.view(np.uint32), 23, 255
    elif flat.dtype == np.float64:
        bits, shift, top = flat.view(np.uint64), 52, 2047
    else:
        raise TypeError(f"exponents are read from float32 or float64, not {flat.dtype}")
    exponents = (bits >> shift & top).astype(np.intp)
    counts = np.bincount(exponents, minlength=top + 1)
    zeros = int(np.count_nonzero(flat == 0))
    nonfinite = int(counts[top])
    counts[0] -= zeros
    return -(top // 2), counts[:top], zeros, nonfinite
