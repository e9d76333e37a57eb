"""What happened once: an event, and the phase it happened in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["Event", "Phase"]


class Phase(IntEnum):
    """What the program was doing when a row was written."""

    TRAIN = 0
    EVAL = 1
    OTHER = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened once, with fields that are JSON values.

    Args:
        kind: One of the documented kinds, e.g. `loss_call`, `coverage` (docs/reference/events.md).
        t_ns: Monotonic nanoseconds of the writer; the run's manifest holds the wall anchor.
        training: Number of the training, from 0; -1 where there is none (yet).
        step: Step of the training, from 0; -1 before the first.
    """

    kind: str
    t_ns: int = 0
    training: int = -1
    step: int = -1
    micro: int = 0
    phase: Phase = Phase.OTHER
    rank: int = 0
    attempt: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
