"""What is kept of a measurement: aggregate numbers, and the rates that `unbug rules` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.full.figures import calibration, figures, per_class, per_rule
from tools.full.judged import Judged

__all__ = ["GROUPS", "changes", "measured", "rates", "write_json"]

GROUPS = {
    "corpus": lambda one: one.set == "corpus",
    "generated dev": lambda one: (one.set, one.half) == ("generated", "dev"),
    "generated held": lambda one: (one.set, one.half) == ("generated", "held"),
    "healthy dev": lambda one: (one.set, one.half) == ("healthy", "dev"),
    "healthy held": lambda one: (one.set, one.half) == ("healthy", "held"),
    "dev": lambda one: one.half == "dev",
    "held": lambda one: one.half == "held",
}
SHARES = ("detection", "top1", "exact", "top3", "located", "false_alarms", "false_errors")
NUMBERS = ("alerts_faulty", "classes_first", "calibration_error")


def measured(judged: Sequence[Judged], *, date: str, version: str, tree: str) -> dict[str, Any]:
    """Aggregate numbers of all groups that there are."""
    groups = {name: [one for one in judged if belongs(one)] for name, belongs in GROUPS.items()}
    return {
        "date": date,
        "version": version,
        "tree": tree,
        "groups": {name: figures(group) for name, group in groups.items() if group},
        "classes": {name: per_class(groups[name]) for name in ("dev", "held") if groups[name]},
        "confidence": {name: calibration(groups[name]) for name in ("dev", "held") if groups[name]},
    }


def rates(judged: Sequence[Judged], rules: Sequence[str], *, date: str, version: str) -> dict[str, Any]:
    """The false-alarm rate of every rule, and how often a stated confidence was right."""
    return {
        "date": date,
        "version": version,
        "healthy_runs": sum(one.healthy and one.has_report for one in judged),
        "rules": per_rule(judged, rules),
        "confidence": [
            {key: row[key] for key in ("low", "high", "count", "right")} for row in calibration(judged)
        ],
    }


def changes(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What differs from a former measurement, a group at a time: shares as fractions, numbers as they are."""
    told: dict[str, dict[str, float]] = {}
    for name, new in now["groups"].items():
        old = before.get("groups", {}).get(name)
        if old is None:
            continue
        moved = {}
        for key in SHARES:
            if new[key][1] and old.get(key, [0, 0])[1]:
                moved[key] = new[key][0] / new[key][1] - old[key][0] / old[key][1]
        for key in NUMBERS:
            if new[key] is not None and old.get(key) is not None:
                moved[key] = new[key] - old[key]
        told[name] = {key: value for key, value in moved.items() if abs(value) > 5e-5}
    return told


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all, the same bytes for the same content."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)
