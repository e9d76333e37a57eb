"""Axes: where a value lies on a line of pixels, and which values to name there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Scale", "fit", "wants_log"]

LOG_FROM = 100.0
"""Ratio of largest to smallest value from which an axis is logarithmic."""
_LARGEST = 1e140


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps `[low, high]` to `[start, end]`, linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Pixel of a value; values outside lie on the edge."""
        low, high, value = min(self.low, self.high), max(self.low, self.high), value
        value = min(max(value, low), high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """At most about that many round values within the axis."""
        return _decades(self.low, self.high, most) if self.log else _round(self.low, self.high, most)


def wants_log(values: Iterable[float]) -> bool:
    """Whether positive values span so many decades that a linear axis would hide most of them."""
    seen = _usable(values)
    return bool(seen) and min(seen) > 0 and max(seen) / min(seen) >= LOG_FROM


def fit(values: Iterable[float], *, start: float, end: float, log: bool = False, pad: float = 0.05) -> Scale:
    """A scale that holds all finite values with some room; something sensible where they are equal or
    none."""
    seen = _usable(values) or [0.0, 1.0]
    low, high = min(seen), max(seen)
    if log:
        room = (high / low) ** pad if high > low else 10.0
        return Scale(low=low / room, high=high * room, start=start, end=end, log=True)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1 / _LARGEST):
        room = abs(low) * 0.5 or 1.0
        low, high = low - room, high + room
    else:
        low, high = low - pad * (high - low), high + pad * (high - low)
    return Scale(low=low, high=high, start=start, end=end)


def _usable(values: Iterable[float]) -> list[float]:
    """The finite values, none so large or so near zero that arithmetic on the axis would fail."""
    kept = (min(max(value, -_LARGEST), _LARGEST) for value in values if math.isfinite(value))
    return [0.0 if abs(value) < 1 / _LARGEST else value for value in kept]


def _round(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(1, most)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [
        round(number * step, 12 - math.floor(math.log10(step))) + 0.0 for number in range(first, last + 1)
    ]


def _decades(low: float, high: float, most: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / most))
    return [10.0**power for power in range(first, last + 1, every)]
