"""Frozen records that every room speaks in. Standard library only."""

from unbug.types.bilingual import Bilingual, chinese
from unbug.types.event import Event, Phase
from unbug.types.finding import SCHEMA, Evidence, Finding, FindingState, Severity, Source, fingerprint
from unbug.types.place import Place, PlaceKind
from unbug.types.run import FORMAT_VERSION, Attempt, Run, RunState, Status, Training
from unbug.types.series import (
    DERIVED_STATISTICS,
    STORED_STATISTICS,
    Histogram,
    Origin,
    Series,
)

__all__ = [
    "DERIVED_STATISTICS",
    "FORMAT_VERSION",
    "SCHEMA",
    "STORED_STATISTICS",
    "Attempt",
    "Bilingual",
    "Event",
    "Evidence",
    "Finding",
    "FindingState",
    "Histogram",
    "Origin",
    "Phase",
    "Place",
    "PlaceKind",
    "Run",
    "RunState",
    "Series",
    "Severity",
    "Source",
    "Status",
    "Training",
    "chinese",
    "fingerprint",
]
