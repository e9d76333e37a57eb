"""How a run ended, as rules see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbug.detect.structure import facts_evidence
from unbug.types import Bilingual, Event, Evidence

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["ended_by", "ending_evidence"]


def ended_by(window: Window, reason: str) -> tuple[Event, int] | None:
    """The event that tells that the run ended for a reason, and the last step; None if it did not."""
    found = next((one for one in window.events("end") if one.fields.get("reason") == reason), None)
    return None if found is None else (found, max(window.steps - 1, 0))


def ending_evidence(window: Window, seen: Event, step: int) -> Evidence:
    """What the event tells."""
    label = Bilingual("how it ended", "结束的方式")
    return facts_evidence(window, "loop", (step, step), label, **dict(seen.fields))
