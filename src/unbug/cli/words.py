"""Numbers as a person reads them."""

from __future__ import annotations

import math

__all__ = ["ago", "count", "duration", "number", "size"]


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 5 s`, `2 h 4 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def ago(seconds: float) -> str:
    """`just now`, `5 min ago`, `3 h ago`, `2 d ago`."""
    if seconds < 60:
        return "just now"
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {name} ago"
    return "just now"


def size(size_bytes: float) -> str:
    """`512 B`, `1.2 kB`, `34 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5:
            return (
                f"{size_bytes:.0f} {unit}"
                if unit == "B" or size_bytes >= 9.95
                else f"{size_bytes:.1f} {unit}"
            )
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def number(value: float | None) -> str:
    """Four digits that count; `-` where there is none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4g}"


def count(value: int, noun: str) -> str:
    """`1 step`, `3 steps`, `12,000 steps`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"
