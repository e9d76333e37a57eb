"""One fault at many places is one finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from unbug.types import Bilingual, Finding

__all__ = ["merge"]

MOST_EVIDENCE = 4
"""Pieces of evidence that a merged finding keeps: those of its worst places."""


def merge(stated: Iterable[tuple[float, Finding]]) -> list[Finding]:
    """Merge what one rule stated over one training, and number it.

    Findings of one severity, one set of diagnoses and one source line are one fault; the place of the largest
    weight (then the one known first) speaks for it.

    Returns:
        Findings with ids `CODE-TRAINING`, `CODE-TRAINING-2` … in the order in which they could be known.
    """
    groups: dict[tuple[object, ...], list[tuple[float, Finding]]] = {}
    for weight, finding in stated:
        groups.setdefault((finding.severity, finding.diagnoses, finding.source), []).append((weight, finding))
    merged = [_one(group) for group in groups.values()]
    merged.sort(key=lambda finding: finding.known_at)
    return [
        replace(finding, id=f"{finding.rule}-{finding.training}" + (f"-{number}" if number > 1 else ""))
        for number, finding in enumerate(merged, 1)
    ]


def _one(group: list[tuple[float, Finding]]) -> Finding:
    worst_first = [finding for _, finding in sorted(group, key=lambda pair: (-pair[0], pair[1].known_at))]
    worst = worst_first[0]
    places = tuple(dict.fromkeys(place for finding in worst_first for place in finding.places))
    evidence = tuple(piece for finding in worst_first for piece in finding.evidence)[:MOST_EVIDENCE]
    others = len(places) - len(worst.places)
    more = (
        Bilingual(
            f"; likewise at {others} other place{'s' if others > 1 else ''}", f"；另有 {others} 处同样如此"
        )
        if others
        else ""
    )
    return replace(
        worst,
        message=worst.message + more,
        places=places,
        evidence=evidence,
        steps=(min(f.steps[0] for f in worst_first), max(f.steps[1] for f in worst_first)),
        known_at=min(f.known_at for f in worst_first),
        confidence=max(f.confidence for f in worst_first),
    )
