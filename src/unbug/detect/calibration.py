"""How sure a finding is: the share of findings like it that were right on programs whose fault is known.

The counts are in `calibration.json` beside this file, which `tools/calibrate.py` writes from programs that
serve development; `docs/explanation/thresholds.md` says how well they hold on others. Few counts weigh
little: a rule's share is drawn towards what its author states, that of a margin towards the rule's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from unbug.types import Finding

__all__ = ["FAR", "STRENGTH", "calibrated", "margin", "margin_kind", "probability"]

STRENGTH = 8.0
"""Findings that the belief before counting is worth."""
FAR = 3.0
"""Times the threshold from which on a measured value is far past it."""
LEAST, MOST = 0.02, 0.99


def calibrated(finding: Finding, counts: Mapping[str, Any] | None = None) -> Finding:
    """The finding with the confidence that was measured. Where its rule was never counted, what its author
    states, times how right all authors were.

    Args:
        counts: Instead of those that ship.
    """
    known = _counts() if counts is None else counts
    if not known or "-" in finding.rule:
        return finding
    believed = replace(finding, confidence=finding.confidence * known.get("scale", 1.0))
    entry = known.get("rules", {}).get(finding.rule, {})
    return replace(finding, confidence=probability(entry, believed, strength=known.get("strength", STRENGTH)))


def probability(entry: Mapping[str, Any], finding: Finding, *, strength: float = STRENGTH) -> float:
    """Of being right: `(right + strength * before) / (stated + strength)`, of the rule and then of the margin
    within it.

    Args:
        entry: Counts of the rule: `right` of `stated`, and the same by `margins`.
        finding: With the confidence believed before counting.
    """
    believed = finding.confidence
    for counted in (entry, entry.get("margins", {}).get(margin_kind(finding), {})):
        right, stated = float(counted.get("right", 0)), float(counted.get("stated", 0))
        believed = (right + strength * believed) / (stated + strength)
    return min(max(believed, LEAST), MOST)


def margin_kind(finding: Finding) -> str:
    """`far` or `near` the threshold, or `plain` where the rule compares with none."""
    past = margin(finding)
    return "plain" if past is None else "far" if past >= FAR else "near"


def margin(finding: Finding) -> float | None:
    """How many times past its threshold the most decisive value is, 1 at the threshold; None without one."""
    past = []
    for piece in finding.evidence:
        values = [value for _, value in piece.points if math.isfinite(value) and value > 0]
        if piece.threshold is None or piece.threshold <= 0 or piece.above is None or not values:
            continue
        past.append(max(values) / piece.threshold if piece.above else piece.threshold / min(values))
    return max(past, default=None)


@cache
def _counts() -> Mapping[str, Any]:
    try:
        text = resources.files("unbug.detect").joinpath("calibration.json").read_text(encoding="utf-8")
    except OSError:
        return {}
    counts: dict[str, Any] = json.loads(text)
    return counts
