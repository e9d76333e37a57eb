"""How often each rule alarmed on healthy programs, as it was measured last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["Rate", "rate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Alarms of one rule on healthy runs.

    Args:
        alarms, runs: In so many of so many runs.
        high: Upper end of the 95 % Wilson interval of the share, a fraction.
        date, version: When, and with which unbug.
    """

    alarms: int
    runs: int
    high: float
    date: str
    version: str

    @property
    def share(self) -> float:
        """Alarms over runs, a fraction."""
        return self.alarms / self.runs if self.runs else 0.0


def rate(code: str, measured: Mapping[str, Any] | None = None) -> Rate | None:
    """The rate of a rule; None where it was not measured.

    Args:
        measured: Instead of what ships in `rates.json`.
    """
    known = _measured() if measured is None else measured
    entry = known.get("rules", {}).get(code)
    if not entry or not entry.get("runs"):
        return None
    return Rate(
        alarms=int(entry["alarms"]),
        runs=int(entry["runs"]),
        high=float(entry["wilson_high"]),
        date=str(known.get("date", "")),
        version=str(known.get("version", "")),
    )


@cache
def _measured() -> Mapping[str, Any]:
    try:
        text = resources.files("unbug.detect").joinpath("rates.json").read_text(encoding="utf-8")
    except OSError:
        return {}
    measured: dict[str, Any] = json.loads(text)
    return measured
