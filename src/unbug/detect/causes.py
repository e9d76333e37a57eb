"""Which finding explains which: a small table over the names of faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from unbug.types import Finding, Severity

__all__ = ["CAUSES", "link"]

CAUSES: dict[str, tuple[str, ...]] = {
    "non-finite-loss": (),
}
"""Name of a fault -> names of the faults that it brings about."""


def link(findings: Iterable[Finding]) -> list[Finding]:
    """Fill in `caused_by` and `causes`: within one training, a cause that was there before its effect was
    known."""
    all_of_them = list(findings)
    pairs = [
        (cause.id, effect.id)
        for cause in all_of_them
        for effect in all_of_them
        if effect.name in CAUSES.get(cause.name, ())
        and cause.training == effect.training
        and cause.steps[0] <= effect.known_at
        and cause.severity is not Severity.NOTE
    ]
    return [
        replace(
            finding,
            caused_by=tuple(cause for cause, effect in pairs if effect == finding.id),
            causes=tuple(effect for cause, effect in pairs if cause == finding.id),
        )
        for finding in all_of_them
    ]
