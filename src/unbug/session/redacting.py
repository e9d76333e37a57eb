"""A writer that lets no secret through: every text in an event, and every name, is redacted first.

Where the user does not want the data of batches to be kept, that is taken out here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.privacy import BatchPolicy, Redactor
    from unbug.store import Writer
    from unbug.store.contract import GroupKind
    from unbug.types import Place, Series, Status, Training

__all__ = ["RedactingWriter"]


class RedactingWriter:
    """What the recorder writes through. Rows hold numbers only and go straight to the writer behind.

    Args:
        batches: What of batches may be written; None: all that is recorded.
    """

    def __init__(self, writer: Writer, redactor: Redactor, *, batches: BatchPolicy | None = None) -> None:
        self._writer = writer
        self._json, self._text = redactor.json, redactor.text
        self.redact = redactor.text
        self._places: dict[Place, Place] = {}
        self.on_fault: Callable[[str, str], None] = lambda where, error: None
        # The hot path is the writer's own bound method: nothing of ours is called for a row.
        self.row = writer.row if batches is None else self._allowed_row
        self._batches = batches
        self._withheld: set[int] = set()
        self.before_flush, self.flush = writer.before_flush, writer.flush
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
        allowed = fields if self._batches is None else self._batches.event(kind, fields)
        if allowed is None:
            return
        clean = self._json(allowed)
        if kind == "fault":
            self.on_fault(str(clean.get("where", "")), str(clean.get("error", "")))
        self._writer.event(kind, clean, t_ns=t_ns, training=training, step=step, micro=micro, phase=phase)

    def group(self, series: Sequence[Series], *, kind: GroupKind = "scalar") -> int:
        """Declare series; names and places are the program's, so they are redacted."""
        number = self._declare(series, kind)
        if self._batches is not None and any(self._batches.withholds(one.name, one.origin) for one in series):
            self._withheld.add(number)
        return number

    def _declare(self, series: Sequence[Series], kind: GroupKind) -> int:
        first = series[0].place if series else None
        plain = all(one.place is first and one.origin == "auto" for one in series)
        if first is not None and plain and self._place(first) == first:  # as nearly always: nothing is hidden
            return self._writer.group(series, kind=kind)
        return self._writer.group([self._clean(one) for one in series], kind=kind)

    def _allowed_row(self, group: int, values: Sequence[float] | bytes, **when: Any) -> None:
        if group not in self._withheld:
            self._writer.row(group, values, **when)

    def _clean(self, series: Series) -> Series:
        name, place = series.name, series.place
        if series.origin != "auto":  # the names of automatic ones are unbug's own
            name = self._text(name)
        known = self._place(place)
        return series if name == series.name and known == place else replace(series, name=name, place=known)

    def _place(self, place: Place) -> Place:
        """The place with what must not be written hidden; the very same if that is nothing."""
        known = self._places.get(place)
        if known is None:
            clean = replace(
                place,
                path=self._text(place.path),
                parent=None if place.parent is None else self._text(place.parent),
                aliases=tuple(map(self._text, place.aliases)),
            )
            known = self._places[place] = place if clean == place else clean
        return known

    def training(self, training: Training) -> None:
        """State or update what is known of a training."""
        self._writer.training(replace(training, facts=self._json(training.facts)))

    def status(self, status: Status) -> None:
        """Replace the run's status file."""
        self._writer.status(status)

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept."""
        return self._writer.lost
