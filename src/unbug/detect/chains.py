"""Which of the findings brought about which others: links over what the table of causes allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from unbug.detect.causes import brings_about, grows
from unbug.types import Finding

__all__ = ["link"]


def link(findings: Iterable[Finding], explains: Mapping[str, tuple[str, ...]] | None = None) -> list[Finding]:
    """Fill in `caused_by` and `causes`.

    A cause is of the same training; one that grows held before its effect was known. A note is no cause. Of a
    chain only the nearest links are told: what causes a cause is not named for the effect again. Where two
    would cause each other, the surer one is the cause.

    Args:
        explains: Code of a rule -> what the rule says that its fault brings about.
    """
    every = list(findings)
    pairs = _without_circles(_pairs(every, explains or {}), {finding.id: finding for finding in every})
    middle = {finding.id for finding in every}
    near = [
        (cause, effect)
        for cause, effect in sorted(pairs)
        if not any((cause, one) in pairs and (one, effect) in pairs for one in middle)
    ]
    return [
        replace(
            finding,
            caused_by=tuple(cause for cause, effect in near if effect == finding.id),
            causes=tuple(effect for cause, effect in near if cause == finding.id),
        )
        for finding in every
    ]


def _pairs(findings: list[Finding], explains: Mapping[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    return {
        (cause.id, effect.id)
        for cause in findings
        if cause.is_alert
        for effect in findings
        if effect.id != cause.id
        and effect.training == cause.training
        and not effect.same_as
        and effect.state == "open"
        and (not grows(cause) or cause.steps[0] <= effect.known_at)
        and brings_about(cause, effect, explains=explains.get(cause.rule, ()))
    }


def _without_circles(pairs: set[tuple[str, str]], by_id: Mapping[str, Finding]) -> set[tuple[str, str]]:
    """The links taken in order of how sure their causes are, but for those that would lead back."""
    kept: set[tuple[str, str]] = set()
    after: dict[str, set[str]] = {}
    for cause, effect in sorted(pairs, key=lambda pair: (-by_id[pair[0]].confidence, pair)):
        if not _reaches(effect, cause, after):
            kept.add((cause, effect))
            after.setdefault(cause, set()).add(effect)
    return kept


def _reaches(start: str, goal: str, after: Mapping[str, set[str]]) -> bool:
    seen, left = {start}, [start]
    while left:
        one = left.pop()
        if one == goal:
            return True
        new = after.get(one, set()) - seen
        seen |= new
        left += new
    return False
