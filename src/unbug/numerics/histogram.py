"""Histograms of binary exponents as bytes: a few dozen for a tensor of any size.

Layout: version byte 1, then integers as LEB128 (7 bits a byte, low first): zigzag of `first`, `zeros`,
`nonfinite`, `looked_at`, number of bins, the bins. Merges exactly: bins of equal exponents add.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from unbug.types import Histogram

__all__ = ["decode_histogram", "encode_histogram"]

_VERSION = 1


def encode_histogram(first: int, counts: Iterable[int], zeros: int, nonfinite: int, looked_at: int) -> bytes:
    """Pack a histogram; empty bins at either end are dropped.

    Args:
        first: Exponent of the first bin: its elements have `2**first <= |x| < 2**(first + 1)`.
        counts: One count a bin, consecutive exponents, none negative.
        zeros, nonfinite: Elements that have no exponent.
        looked_at: Elements counted in all.
    Raises:
        ValueError: a count is negative.
    """
    bins = [int(count) for count in counts]
    while bins and bins[-1] == 0:
        bins.pop()
    empty = next((index for index, count in enumerate(bins) if count), 0)
    bins, first = bins[empty:], (int(first) + empty if bins else 0)
    zigzag = (first << 1) ^ (first >> 63)
    numbers = (zigzag, int(zeros), int(nonfinite), int(looked_at), len(bins), *bins)
    if min(numbers) < 0:
        raise ValueError(f"a histogram has no negative counts, this one has {min(numbers)}")
    packed = bytearray((_VERSION,))
    for number in numbers:
        while number > 0x7F:
            packed.append(number & 0x7F | 0x80)
            number >>= 7
        packed.append(number)
    return bytes(packed)


def decode_histogram(data: bytes, training: int, step: int) -> Histogram:
    """Unpack what `encode_histogram` packed.

    Args:
        training, step: Where the histogram belongs; they are not in the bytes.
    Raises:
        ValueError: the bytes are no histogram, or one of a newer unbug.
    """
    if not data or data[0] != _VERSION:
        raise ValueError(f"not a histogram of version {_VERSION}: {bytes(data[:8]).hex() or 'no bytes'}")
    numbers = _numbers(data)
    try:
        zigzag, zeros, nonfinite, looked_at, bins = (next(numbers) for _ in range(5))
        counts = tuple(next(numbers) for _ in range(bins))
    except (StopIteration, RuntimeError) as cut:
        raise ValueError(f"a histogram of {len(data)} bytes is cut short") from cut
    first = (zigzag >> 1) ^ -(zigzag & 1)
    return Histogram(
        training=training,
        step=step,
        first=first,
        counts=counts,
        zeros=zeros,
        nonfinite=nonfinite,
        looked_at=looked_at,
    )


def _numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in memoryview(data)[1:]:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            yield number
            number = shift = 0
