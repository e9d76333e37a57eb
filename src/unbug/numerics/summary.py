"""The stored statistics of an array, in few passes over chunks that stay in the processor's cache.

A finite sum of squares proves that there is no NaN and no infinity, so that the passes that look for these
are made only where they are needed. Within a chunk BLAS adds up products in the array's own precision, across
chunks sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from unbug.numerics.native import Kernel, open_kernel

__all__ = ["CHUNK", "Scratch", "chunked", "summarize"]

CHUNK = 32768
"""Elements looked at in one go: 128 kB of float32, measured best between 16 Ki and 64 Ki."""

_CANCELLED = 1e-3
"""Below this share of the sum of squares, m2 = sum(x^2) - n mean^2 has lost digits: a second pass follows."""

_TINY = 1e-15
"""Where no element is larger, squares leave the range of float32."""

Array = NDArray[np.floating]
Chunks = Callable[[], Iterable[Array]]


class Scratch:
    """Buffers that are made once and used for every array; not for two threads at a time.

    `wide` is for the caller, to convert a chunk into. `kernel` is the native kernel where there is one; what
    it computes needs no chunks.
    """

    __slots__ = ("kernel", "mask", "ones", "other", "wide", "work")

    def __init__(self) -> None:
        self.kernel: Kernel | None = open_kernel()
        self.mask = np.empty(CHUNK, dtype=np.bool_)
        self.other = np.empty(CHUNK, dtype=np.bool_)
        self.ones: dict[np.dtype[np.floating], Array] = {
            np.dtype(kind): np.ones(CHUNK, dtype=kind) for kind in (np.float32, np.float64)
        }
        kinds = (np.dtype(np.float32), np.dtype(np.float64))
        self.work: dict[np.dtype[np.floating], Array] = {kind: np.empty(CHUNK, dtype=kind) for kind in kinds}
        self.wide: dict[np.dtype[np.floating], Array] = {kind: np.empty(CHUNK, dtype=kind) for kind in kinds}


def chunked(flat: Array) -> Chunks:
    """Cut a flat array into views of at most `CHUNK` elements."""
    if flat.size <= CHUNK:
        return lambda: (flat,)

    def views() -> Iterator[Array]:
        for start in range(0, flat.size, CHUNK):
            yield flat[start : start + CHUNK]

    return views


def summarize(
    chunks: Chunks, scratch: Scratch, *, limits: tuple[float, float] | None = None
) -> tuple[float, ...]:
    """Compute the stored statistics of all chunks together.

    Args:
        chunks: Called once, or twice where a second pass is needed; gives the same float32 or float64 arrays
            of at most `CHUNK` elements, one dimension, contiguous.
        limits: Elements at or below the first, or at or above the second, count as saturated.
    Returns:
        One float for each of `types.STORED_STATISTICS`, in that order; mean, m2, min and max are NaN where no
        element is finite, `saturated` where there are no limits.
    """
    with np.errstate(all="ignore"):
        count = zeros = saturated = 0
        total = squares = 0.0
        low, high = math.inf, -math.inf
        for part in chunks():
            size = part.size
            if not size:
                continue
            count += size
            total += float(np.dot(part, scratch.ones[part.dtype][:size]))
            squares += float(np.dot(part, part))
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            mask = scratch.mask[:size]
            zeros += int(np.count_nonzero(np.equal(part, 0, out=mask)))
            if limits is not None:
                saturated += _outside(part, limits, mask, scratch.other[:size])
        if not math.isfinite(squares) or 0.0 < max(-low, high) < _TINY:
            return _with_nonfinite(chunks, limits)
        sat = math.nan if limits is None else float(saturated)
        if not count:
            return (0.0, math.nan, math.nan, math.nan, math.nan, 0.0, 0.0, 0.0, sat)
        mean = total / count
        m2 = squares - total * mean
        if m2 < _CANCELLED * squares:
            mean, m2 = _second_pass(chunks, scratch, mean, count)
        return (float(count), mean, m2, low, high, float(zeros), 0.0, 0.0, sat)


def _outside(
    part: Array, limits: tuple[float, float], mask: NDArray[np.bool_], other: NDArray[np.bool_]
) -> int:
    np.less_equal(part, limits[0], out=mask)
    np.greater_equal(part, limits[1], out=other)
    return int(np.count_nonzero(np.logical_or(mask, other, out=mask)))


def _second_pass(chunks: Chunks, scratch: Scratch, mean: float, count: int) -> tuple[float, float]:
    """Mean and m2 around a first guess of the mean: sum(d^2) - sum(d)^2 / n with d = x - guess."""
    sums = squares = 0.0
    guess = mean
    for part in chunks():
        guess = float(part.dtype.type(mean))
        gap = np.subtract(part, part.dtype.type(mean), out=scratch.work[part.dtype][: part.size])
        sums += float(np.dot(gap, scratch.ones[part.dtype][: part.size]))
        squares += float(np.dot(gap, gap))
    return guess + sums / count, max(squares - sums * sums / count, 0.0)


def _with_nonfinite(chunks: Chunks, limits: tuple[float, float] | None) -> tuple[float, ...]:
    """The same in float64, leaving NaN and infinities out; also where squares leave the range of float32."""
    count = zeros = nans = infs = saturated = finite = 0
    mean = m2 = 0.0
    low, high = math.inf, -math.inf
    for part in chunks():
        values = part.astype(np.float64)
        count += values.size
        zeros += int(np.count_nonzero(values == 0))
        nans += int(np.count_nonzero(np.isnan(values)))
        infs += int(np.count_nonzero(np.isinf(values)))
        if limits is not None:
            saturated += int(np.count_nonzero((values <= limits[0]) | (values >= limits[1])))
        kept = values[np.isfinite(values)]
        if not kept.size:
            continue
        low, high = min(low, float(kept.min())), max(high, float(kept.max()))
        here = float(kept.mean())
        spread = float(np.square(kept - here).sum())
        gap, whole = here - mean, finite + kept.size
        m2 += spread + gap * gap * (finite * kept.size / whole)
        mean += gap * (kept.size / whole)
        finite = whole
    sat = math.nan if limits is None else float(saturated)
    moments = (mean, m2, low, high) if finite else (math.nan,) * 4
    return (float(count), *moments, float(zeros), float(nans), float(infs), sat)
