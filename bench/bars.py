"""How a benchmark says what it measured: one line for each bar, which `make bench` gathers into one table.

    from bars import at_most
    at_most("logging, call only", value, 0.5, unit="us/scalar", note="min of 5, interval 0.41 to 0.47")

A benchmark is a script `bench/<name>.py` that runs by itself, prints what it likes besides, and takes
less than two minutes. It ends with 0 whether or not its bars hold; anything else means that it could not
measure.
"""

from __future__ import annotations

import json

__all__ = ["MARK", "at_least", "at_most", "holds"]

MARK = "BAR "


def at_most(what: str, measured: float, limit: float, *, unit: str = "", note: str = "") -> bool:
    """State a measured value that should not exceed `limit`; returns whether it holds."""
    return _say(
        what, f"{measured:.4g} {unit}".strip(), f"<= {limit:g} {unit}".strip(), measured <= limit, note
    )


def at_least(what: str, measured: float, limit: float, *, unit: str = "", note: str = "") -> bool:
    """State a measured value that should not fall short of `limit`; returns whether it holds."""
    return _say(
        what, f"{measured:.4g} {unit}".strip(), f">= {limit:g} {unit}".strip(), measured >= limit, note
    )


def holds(what: str, truth: bool, *, bar: str, measured: str, note: str = "") -> bool:
    """State something that is so or not, e.g. `bar="identical"`, `measured="12 of 12"`."""
    return _say(what, measured, bar, truth, note)


def _say(what: str, measured: str, bar: str, truth: bool, note: str) -> bool:
    line = {"what": what, "measured": measured, "bar": bar, "holds": bool(truth), "note": note}
    print(MARK + json.dumps(line, ensure_ascii=False), flush=True)
    return bool(truth)
