"""Numbers, times and sentences as a person reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from unbug.types import Bilingual

__all__ = ["clean", "count", "duration", "listed", "moment", "number", "sentence", "span"]

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text on one line, in which nothing steers a terminal or turns the direction of writing."""
    return _CONTROL.sub("�", text.replace("\n", " ").replace("\t", " "))


def number(value: float) -> str:
    """Four digits that count: `0.5312`, `1,094`, `2.3e-05`, `NaN`, `∞`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e6:
        digits = max(0, 3 - math.floor(math.log10(size)))
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def count(value: int, noun: str) -> str:
    """`1 step`, `3 steps`, `12,000 steps`."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def listed(parts: Sequence[str], *, most: int = 3) -> str:
    """`a`, `a and b`, `a, b and 4 more`."""
    if len(parts) <= 1:
        return "".join(parts)
    if len(parts) <= most:
        return f"{', '.join(parts[:-1])} and {parts[-1]}"
    shown = parts[: most - 1]
    return f"{', '.join(shown)} and {len(parts) - len(shown)} more"


def sentence(text: str) -> str:
    """A phrase with a capital at its start and a full stop at its end, names in code kept as they are."""
    text = clean(text).strip()
    first = text.split(" ", 1)[0]
    native = _CHINESE.search(text) is None
    if native and first.isalpha() and first.islower():
        text = text[0].upper() + text[1:]
    if text.endswith((".", "!", "?", "。", "！", "？")):
        return text
    return text + ("." if native else "。")


def span(steps: tuple[int, int]) -> Bilingual:
    """`step 4`, `steps 4 to 20`."""
    first, last = steps
    if first == last:
        return Bilingual(f"step {first:,}", f"第 {first:,} 步")
    return Bilingual(f"steps {first:,} to {last:,}", f"第 {first:,} 至 {last:,} 步")


def duration(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 5 s`, `2 h 4 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, small, names in ((60, 1, ("min", "s")), (3600, 60, ("h", "min")), (86_400, 3600, ("d", "h"))):
        if whole < big * (60 if big == 60 else 24) or big == 86_400:
            rest = whole % big // small
            return f"{whole // big} {names[0]}" + (f" {rest} {names[1]}" if rest else "")
    return f"{whole} s"


def moment(ns: int) -> str:
    """A wall-clock time in UTC, to the second."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if ns else "unknown"
