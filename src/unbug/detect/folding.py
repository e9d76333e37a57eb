"""One fault, one alert: what says the same, what follows from it, and what speaks against it become notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from unbug.detect.causes import AT_ODDS, SYMPTOMS
from unbug.types import Bilingual, Finding, Severity

__all__ = ["fold_effects", "fold_repeated", "fold_same", "settle"]

PLACES_OF_THE_PROGRAM = frozenset({"", "data", "loss", "optimizer", "loop"})
"""Names that stand for a part of the program, not for a module: they are no places to add to those of another
finding."""


def fold_same(findings: Iterable[Finding]) -> list[Finding]:
    """Alerts of several rules on one training that name the same class first: the surest speaks for them.

    Symptoms are left to the table of causes. The others become notes that name it in `same_as`; it takes over
    their modules and parameters as places.
    """
    groups: dict[tuple[int, str], list[Finding]] = {}
    every = list(findings)
    for finding in every:
        if finding.is_alert and finding.diagnoses and finding.name not in SYMPTOMS:
            groups.setdefault((finding.training, finding.diagnoses[0]), []).append(finding)
    changed: dict[str, Finding] = {}
    for group in groups.values():
        speaker = min(group, key=_surest)
        others = [one for one in group if one.rule != speaker.rule]
        if others:
            changed[speaker.id] = _with_places(_as_bad_as(speaker, others), others)
            changed |= {one.id: replace(one, severity=Severity.NOTE, same_as=speaker.id) for one in others}
    return [changed.get(finding.id, finding) for finding in every]


def settle(findings: Iterable[Finding]) -> list[Finding]:
    """Of alerts that cannot both hold, see `AT_ODDS`, the surer stays; the other becomes a note that says
    so."""
    every = {finding.id: finding for finding in findings}
    alerts = sorted((one for one in every.values() if one.is_alert), key=_surest)
    for number, loser in enumerate(alerts):
        for winner in alerts[:number]:
            if every[winner.id].is_alert and _at_odds(winner, loser):
                against = Bilingual(
                    f"; {winner.rule} {winner.name} speaks against it and is better founded",
                    f"；但 {winner.rule} {winner.name} 与之矛盾，且依据更充分",
                )
                every[loser.id] = replace(loser, severity=Severity.NOTE, message=loser.message + against)
                break
    return list(every.values())


def fold_effects(findings: Iterable[Finding]) -> list[Finding]:
    """Effects of an alert become notes; an alert is as severe as the worst of what it brings about.

    An alert of several classes is of the one that an effect of it names alone.
    """
    by_id = {finding.id: finding for finding in findings}
    folded = []
    for finding in by_id.values():
        if finding.caused_by:
            folded.append(replace(finding, severity=Severity.NOTE))
        else:
            below = _below(finding, by_id)
            folded.append(_narrowed(_as_bad_as(finding, below), below))
    return folded


def fold_repeated(findings: Iterable[Finding]) -> list[Finding]:
    """The same fault in several trainings of a run is one alert, that of the first of them."""
    first: dict[str, str] = {}
    folded = []
    for finding in sorted(findings, key=lambda one: one.training):
        if not finding.is_alert or not finding.fingerprint:
            folded.append(finding)
        elif finding.fingerprint in first:
            folded.append(replace(finding, severity=Severity.NOTE, same_as=first[finding.fingerprint]))
        else:
            first[finding.fingerprint] = finding.id
            folded.append(finding)
    return folded


def _surest(finding: Finding) -> tuple[int, float, int, int, str]:
    """Fewer classes say more; then who is surer, who is worse, who knew it first."""
    return (
        max(len(finding.diagnoses), 1),
        -finding.confidence,
        finding.severity.rank,
        finding.known_at,
        finding.id,
    )


def _at_odds(one: Finding, other: Finding) -> bool:
    if one.training != other.training or not (one.diagnoses and other.diagnoses):
        return False
    apart = one.steps[1] < other.steps[0] or other.steps[1] < one.steps[0]
    return not apart and frozenset({one.diagnoses[0], other.diagnoses[0]}) in AT_ODDS


def _as_bad_as(finding: Finding, others: Sequence[Finding]) -> Finding:
    if finding.severity is Severity.NOTE:
        return finding
    return replace(finding, severity=min((finding, *others), key=lambda one: one.severity.rank).severity)


def _narrowed(finding: Finding, effects: Sequence[Finding]) -> Finding:
    named = {one.diagnoses[0] for one in effects if len(one.diagnoses) == 1} & set(finding.diagnoses)
    return replace(finding, diagnoses=tuple(named)) if len(named) == 1 else finding


def _below(finding: Finding, by_id: Mapping[str, Finding]) -> list[Finding]:
    found: dict[str, Finding] = {}
    left = list(finding.causes)
    while left:
        one = left.pop()
        if one in by_id and one not in found:
            found[one] = by_id[one]
            left += by_id[one].causes
    return list(found.values())


def _with_places(speaker: Finding, others: Sequence[Finding]) -> Finding:
    new = [place for one in others for place in one.places if place not in PLACES_OF_THE_PROGRAM]
    return replace(speaker, places=tuple(dict.fromkeys((*speaker.places, *new))))
