"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

__all__ = ["reduced", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=^"


def reduced(values: Sequence[float], columns: int) -> list[float]:
    """As many means as there are columns."""
    if len(values) <= columns:
        return list(values)
    edges = [round(index * len(values) / columns) for index in range(columns + 1)]
    return [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """A bar a value, from the lowest to the highest of them; `!` where one is not finite."""
    bars = _ASCII if ascii_only else _BARS
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    if not math.isfinite(high - low):  # the difference is beyond the largest number
        return sparkline([value / 4 for value in values], ascii_only=ascii_only)
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(bars[round((value - low) * scale)] if math.isfinite(value) else "!" for value in values)
