"""A curve as one line of bars."""

from __future__ import annotations

from collections.abc import Sequence

from unbug.report.columns import columns
from unbug.report.words import clean, number
from unbug.types import Evidence

__all__ = ["sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST, _NARROWEST = 32, 8


def sparkline(evidence: Sequence[Evidence], room: int) -> str:
    """The first curve among the evidence, between its first and last value; empty where there is none.

    Args:
        room: Columns there are.
    """
    curve = next((piece for piece in evidence if len(piece.points) > 2 and not piece.facts), None)
    if curve is None:
        return ""
    values = [value for _, value in curve.points]
    finite = [value for value in values if abs(value) != float("inf") and value == value]
    if not finite or min(finite) == max(finite) or set(finite) == {0.0, 1.0}:
        return ""
    first, last, label = number(values[0]), number(values[-1]), clean(curve.label or curve.series)
    left = room - 4 - len(first) - len(last) - columns(label)
    return f"{first} {_bars(values, min(_WIDEST, left))} {last}  {label}" if left >= _NARROWEST else ""


def _bars(values: Sequence[float], wide: int) -> str:
    """Means of neighbouring values as bars; NaN and infinity as a cross."""
    finite = [value for value in values if abs(value) != float("inf") and value == value]
    low, high = min(finite), max(finite)
    wide = min(wide, len(values))
    drawn = []
    for column in range(wide):
        part = values[column * len(values) // wide : (column + 1) * len(values) // wide]
        if any(value != value or abs(value) == float("inf") for value in part):
            drawn.append("×")
            continue
        mean = sum(part) / len(part)
        drawn.append(_BARS[min(7, int(8 * (mean - low) / (high - low)))])
    return "".join(drawn)
