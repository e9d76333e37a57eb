"""What a narrower floating-point type would lose of the numbers in a histogram of exponents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from unbug.types import Histogram

__all__ = ["NARROW_TYPES", "RangeShares", "range_shares"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Type:
    """Exponents of the largest finite number, the smallest normal one and the smallest one above zero."""

    largest: int
    normal: int
    smallest: int


NARROW_TYPES: Mapping[str, _Type] = MappingProxyType(
    {
        "float16": _Type(largest=15, normal=-14, smallest=-24),
        "bfloat16": _Type(largest=127, normal=-126, smallest=-133),
        "float8_e4m3fn": _Type(largest=8, normal=-6, smallest=-9),
        "float8_e5m2": _Type(largest=15, normal=-14, smallest=-16),
    }
)
"""The types that shares are known for, by torch's names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeShares:
    """Shares of all elements that were looked at.

    Args:
        underflow: Not zero, but rounded to zero in the type.
        subnormal: Kept with fewer digits than the type's others have.
        overflow: Finite, but beyond the type's largest number.
    """

    underflow: float
    subnormal: float
    overflow: float


def range_shares(histogram: Histogram, kind: str) -> RangeShares:
    """Tell what converting the elements to a narrower type would do to them.

    A bin that lies partly inside counts as inside, so that the shares of underflow and overflow are lower
    bounds; for float16, bfloat16 and float8_e5m2 that concerns only numbers that round past the largest one.

    Args:
        kind: One of `NARROW_TYPES`.
    Returns:
        NaN in all three where nothing was looked at.
    Raises:
        KeyError: no such type.
    Source:
        IEEE 754-2019 for float16; Micikevicius et al. 2022, arXiv:2209.05433, for both eight-bit types.
        Rounding to nearest takes what is above half of the smallest number up to it.
    """
    if kind not in NARROW_TYPES:
        raise KeyError(f"no range of {kind!r} is known; there is {', '.join(NARROW_TYPES)}")
    limits = NARROW_TYPES[kind]
    below = tiny = above = 0
    for exponent, count in enumerate(histogram.counts, start=histogram.first):
        if exponent < limits.smallest - 1:
            below += count
        elif exponent < limits.normal:
            tiny += count
        elif exponent > limits.largest:
            above += count
    whole = histogram.looked_at or math.nan
    return RangeShares(underflow=below / whole, subnormal=tiny / whole, overflow=above / whole)
