"""A finding: what is wrong, where, since when, how sure, on what evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

__all__ = ["SCHEMA", "Evidence", "Finding", "FindingState", "Severity", "Source", "fingerprint"]

SCHEMA = "unbug.findings/1"
FindingState = Literal["open", "resolved", "suppressed"]


class Severity(StrEnum):
    """How bad. Errors and warnings are alerts; a note never is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return ("error", "warning", "note").index(self.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A line of the user's program. `text` is that line, stripped; empty if unknown."""

    file: str
    line: int
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Data that a finding rests on: never SQL, never code.

    Args:
        series: Name of the series, as in `Series.name`.
        place: Path of its place.
        statistic: As in `Series.statistic`.
        steps: First and last step to look at.
        threshold: Value that was compared with, in the series' unit, or None.
        above: Whether values at or above the threshold are the bad ones; None if neither.
        mark: Steps to mark.
        points: The decisive values `(step, value)`, at most 200, so that evidence outlives thinning.
        unit: Unit of the values.
        label: A few words for the picture's title.
        facts: What was seen where no series shows it (shapes, ranges, orders): JSON values.
    """

    series: str = ""
    place: str = ""
    statistic: str = ""
    training: int = 0
    steps: tuple[int, int] = (0, 0)
    threshold: float | None = None
    above: bool | None = None
    mark: tuple[int, ...] = ()
    points: tuple[tuple[int, float], ...] = ()
    unit: str = ""
    label: str = ""
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong. The fields are those of the published schema `unbug.findings/1`.

    Args:
        id: Unique within the run; `fingerprint` is what carries over between runs.
        rule: Stable code, e.g. `T101`.
        name: The fault in kebab case, e.g. `missing-zero-grad`.
        place: Path of the worst place; `places` lists all.
        steps: First and last step at which it holds.
        known_at: Step at which it could first be known.
        message: One sentence with the measured number, its unit and the threshold.
        advice: What to change.
        confidence: Probability that this is right, in [0, 1].
        diagnoses: At most three classes of the fault vocabulary.
        caused_by, causes: Ids of other findings of the same run.
        same_as: Id of the finding that speaks for this one, where two rules or trainings tell one fault.
        suppression: The user's reason, where the state is `suppressed`.
    """

    rule: str
    name: str
    severity: Severity
    place: str
    message: str
    advice: str
    id: str = ""
    places: tuple[str, ...] = ()
    training: int = 0
    steps: tuple[int, int] = (0, 0)
    known_at: int = 0
    confidence: float = 0.9
    evidence: tuple[Evidence, ...] = ()
    source: Source | None = None
    diagnoses: tuple[str, ...] = ()
    caused_by: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    same_as: str = ""
    fingerprint: str = ""
    state: FindingState = "open"
    suppression: str = ""
    final: bool = False

    @property
    def is_alert(self) -> bool:
        """Whether it alarms: open, and more than a note."""
        return self.state == "open" and self.severity is not Severity.NOTE

    def to_json(self) -> dict[str, Any]:
        """The finding as the published schema has it."""
        data = asdict(self)
        data["severity"] = self.severity.value
        return data


def fingerprint(rule: str, place: str, *, source: Source | None = None, role: str = "") -> str:
    """Name a fault so that suppressions and comments carry over between runs: no numbers, steps or ids.

    Args:
        place: Canonical path; ignored where the source line is known, since line text moves less than paths.
        role: What the training is for, e.g. `fold`; empty for the only one.
    Returns:
        16 hexadecimal digits.
    """
    where = " ".join(source.text.split()) if source is not None and source.text else place
    return hashlib.blake2b("\0".join((rule, where, role)).encode(), digest_size=8).hexdigest()
