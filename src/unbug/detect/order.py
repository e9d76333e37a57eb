"""Which finding to fix first."""

from __future__ import annotations

from collections.abc import Sequence

from unbug.types import Finding, Severity

__all__ = ["first_to_fix"]


def first_to_fix(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Order findings: alerts before notes, causes before effects, then severity, confidence and time.

    A cause is as urgent as the worst of its effects. Links that point nowhere are ignored.
    """
    by_id = {finding.id: finding for finding in findings}
    urgency: dict[str, int] = {}

    def worst(finding: Finding, above: frozenset[str]) -> int:
        if finding.id not in urgency:
            effects = [by_id[i] for i in finding.causes if i in by_id and i not in above]
            ranks = [worst(effect, above | {finding.id}) for effect in effects]
            urgency[finding.id] = min([finding.severity.rank, *ranks])
        return urgency[finding.id]

    def key(finding: Finding) -> tuple[bool, int, int, float, int, str]:
        note = finding.severity is Severity.NOTE
        rank = worst(finding, frozenset())
        return note, rank, finding.severity.rank, -finding.confidence, finding.known_at, finding.id

    left, ordered = sorted(findings, key=key), list[Finding]()
    while left:
        waiting = {finding.id for finding in left}
        free = (f for f in left if f.severity is not Severity.NOTE or left[0].severity is Severity.NOTE)
        chosen = next((f for f in free if not waiting & (set(f.caused_by) - {f.id})), left[0])
        left.remove(chosen)
        ordered.append(chosen)
    return tuple(ordered)
