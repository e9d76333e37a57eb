"""A writer that lets no secret through: every text in an event is redacted first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.privacy import Redactor
    from unbug.store import Writer
    from unbug.types import Status, Training

__all__ = ["RedactingWriter"]


class RedactingWriter:
    """What the recorder writes through. Rows hold numbers only and go straight to the writer behind."""

    def __init__(self, writer: Writer, redactor: Redactor) -> None:
        self._writer = writer
        self._json = redactor.json
        self.on_fault: Callable[[str, str], None] = lambda where, error: None
        # The hot path is the writer's own bound method: nothing of ours is called for a row.
        self.row = writer.row
        self.group = writer.group
        self.flush = writer.flush
        self.maintain = writer.maintain
        self.close = writer.close

    def event(
        self,
        kind: str,
        fields: Mapping[str, Any],
        *,
        t_ns: int,
        training: int = -1,
        step: int = -1,
        micro: int = 0,
        phase: int = Phase.OTHER,
    ) -> None:
        """Queue one event, redacted."""
        clean = self._json(fields)
        if kind == "fault":
            self.on_fault(str(clean.get("where", "")), str(clean.get("error", "")))
        self._writer.event(kind, clean, t_ns=t_ns, training=training, step=step, micro=micro, phase=phase)

    def training(self, training: Training) -> None:
        """State or update what is known of a training."""
        self._writer.training(training)

    def status(self, status: Status) -> None:
        """Replace the run's status file."""
        self._writer.status(status)

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept."""
        return self._writer.lost
