"""The figures: how often a fault is found, named, placed, a healthy program accused; how sure, how early.

Shares are `[count, of]`, so that an interval can be given and figures of two groups can be added.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tools.full.judged import Alert, Judged

__all__ = [
    "AT_ONCE", "PER_CLASS", "calibration", "calibration_error", "early", "figures", "per_class", "per_rule",
    "wilson",
]  # fmt: skip

Share = list[int]
BINS = 10
PER_CLASS = 10
"""Programs of a class from which on its rate is given."""
SOON = 3
"""Steps within which a fault that is there at once should be known."""
AT_ONCE = {
    "not finite": ("numeric-unsafe-op", "nonfinite-data", "nan-masked", "low-precision"),
    "wiring": (
        "missing-zero-grad", "zero-grad-misplaced", "missing-optimizer-step", "params-not-in-optimizer",
        "unregistered-parameter", "detached-graph", "frozen-by-mistake", "softmax-before-ce",
        "double-sigmoid", "loss-broadcast", "tied-weights-broken", "accidental-weight-sharing", "wrong-dim",
        "grad-accum-unscaled",
    ),
}  # fmt: skip


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share.

    Source:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not of:
        return 0.0, 1.0
    p, d = count / of, 1 + z * z / of
    middle = (p + z * z / (2 * of)) / d
    half = z * (p * (1 - p) / of + z * z / (4 * of * of)) ** 0.5 / d
    return max(0.0, middle - half), min(1.0, middle + half)


def figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """All figures of a group of programs."""
    sick = [one for one in judged if not one.healthy]
    well = [one for one in judged if one.healthy and one.has_report]
    first = [one.alerts[0] for one in sick if one.alerts]
    return {
        "faulty": len(sick),
        "healthy": len(well),
        "detection": _share(sick, lambda one: bool(one.alerts)),
        "top1": _share(sick, lambda one: one.rank == 1),
        "exact": _share(sick, lambda one: one.exact == 1),
        "top3": _share(sick, lambda one: one.rank is not None and one.rank <= 3),
        "located": _share(sick, lambda one: one.located),
        "false_alarms": _share(well, lambda one: bool(one.alerts)),
        "false_errors": _share(well, lambda one: any(a.severity == "error" for a in one.alerts)),
        "alerts_faulty": _mean([len(one.alerts) for one in sick]),
        "classes_first": _mean([len(alert.classes) for alert in first]),
        "calibration_error": calibration_error(calibration(judged)),
        "early": early(judged),
        "diagnose_s": _mean([one.diagnose_s for one in judged if one.has_report]),
    }


def _share(group: Iterable[Judged], holds: Callable[[Judged], bool]) -> Share:
    answers = [holds(one) for one in group]
    return [sum(answers), len(answers)]


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 4) if values else None


def calibration(judged: Iterable[Judged], bins: int = BINS) -> list[dict[str, Any]]:
    """Count how often the first alert of a program is right, by the confidence that it states.

    Returns:
        One entry a bin that holds any: its ends, how many alerts, how many right, the mean confidence.
    """
    first = [one.alerts[0] for one in judged if one.alerts]
    held: dict[int, list[Alert]] = defaultdict(list)
    for alert in first:
        held[min(int(alert.confidence * bins), bins - 1)].append(alert)
    return [
        {
            "low": round(at / bins, 4),
            "high": round((at + 1) / bins, 4),
            "count": len(held[at]),
            "right": sum(alert.right for alert in held[at]),
            "confidence": round(statistics.fmean(alert.confidence for alert in held[at]), 4),
        }
        for at in sorted(held)
    ]


def calibration_error(table: Sequence[dict[str, Any]]) -> float | None:
    """How far the stated confidence is from the share that is right, averaged over alerts; 0 is perfect.

    Source:
        Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    count = sum(row["count"] for row in table)
    if not count:
        return None
    gaps = (abs(row["confidence"] - row["right"] / row["count"]) * row["count"] for row in table)
    return round(sum(gaps) / count, 4)


def early(judged: Iterable[Judged]) -> dict[str, Any]:
    """How early the first right alert could be known.

    Returns:
        `share`: median of `known_at` over the last step of its training. For each kind of fault that is there
        at once, how many were known within `SOON` steps of when they began, as the finding tells it.
    """
    shares = []
    soon: dict[str, Share] = {kind: [0, 0] for kind in AT_ONCE}
    for one in judged:
        right = next((alert for alert in one.alerts if alert.right), None)
        if right is None:
            continue
        if right.steps > 1:
            shares.append(min(1.0, max(0, right.known_at) / (right.steps - 1)))
        for kind, classes in AT_ONCE.items():
            if one.fault in classes:
                soon[kind][0] += right.known_at - max(0, right.begins) <= SOON
                soon[kind][1] += 1
    return {"share": round(statistics.median(shares), 4) if shares else None, "of": len(shares), "soon": soon}


def per_class(judged: Iterable[Judged], least: int = PER_CLASS) -> dict[str, dict[str, Any]]:
    """The figures of each class with at least so many programs."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        if not one.healthy:
            groups[one.fault].append(one)
    return {
        fault: {
            "n": len(group),
            "detection": sum(bool(one.alerts) for one in group),
            "top1": sum(one.rank == 1 for one in group),
            "exact": sum(one.exact == 1 for one in group),
            "top3": sum(one.rank is not None and one.rank <= 3 for one in group),
        }
        for fault, group in sorted(groups.items())
        if len(group) >= least
    }


def per_rule(judged: Iterable[Judged], rules: Iterable[str]) -> dict[str, dict[str, Any]]:
    """On how many healthy programs each rule raised an alarm, and the upper end of the interval."""
    well = [one for one in judged if one.healthy and one.has_report]
    table = {}
    for rule in sorted(set(rules)):
        alarms = sum(any(alert.rule == rule for alert in one.alerts) for one in well)
        high = round(wilson(alarms, len(well))[1], 4)
        table[rule] = {"alarms": alarms, "runs": len(well), "wilson_high": high}
    return table
