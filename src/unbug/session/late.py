"""A writer that is opened at the first thing to say: most children of a program have nothing to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.store import Writer
    from unbug.store.contract import GroupKind
    from unbug.types import Series, Status, Training

__all__ = ["LateWriter"]

MAX_HELD = 50_000
_ASIDES = frozenset({"seeds", "precision", "compile", "environment", "places", "hyperparameters"})
"""Kinds of events that every process with torch has, and that are not worth a writer."""


class LateWriter:
    """Holds what is written until `open_now`, then passes it on.

    Args:
        make: Opens the writer behind.
        noticed: Called once, when the first thing is told that makes the process worth a writer.
    """

    def __init__(self, make: Callable[[], Writer], *, noticed: Callable[[], None] = lambda: None) -> None:
        self._make, self._noticed = make, noticed
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._groups: list[tuple[tuple[Series, ...], GroupKind]] = []
        self._held: list[Callable[[Writer], None]] = []
        self.has_something = False

    def open_now(self) -> None:
        """Open the writer behind and give it everything. Idempotent."""
        with self._lock:
            if self._writer is not None:
                return
            writer = self._make()
            for series, kind in self._groups:
                writer.group(series, kind=kind)
            for give in self._held:
                give(writer)
            self._held.clear()
            self._writer = writer

    def group(self, series: Sequence[Series], *, kind: GroupKind = "scalar") -> int:
        """Declare series; numbered in the order in which the writer behind will number them."""
        with self._lock:
            if self._writer is not None:
                return self._writer.group(series, kind=kind)
            key = (tuple(series), kind)
            if key not in self._groups:
                self._groups.append(key)
            return self._groups.index(key)

    def before_flush(self, feed: Callable[[], None]) -> None:
        """Have the writer behind call `feed` before each flush."""
        with self._lock:
            if self._writer is not None:
                self._writer.before_flush(feed)
            else:
                self._held.append(lambda behind: behind.before_flush(feed))

    def row(self, group: int, values: Sequence[float] | bytes, **where: Any) -> None:
        """Queue one row; a row makes the process worth a writer."""
        writer = self._writer
        if writer is not None:
            writer.row(group, values, **where)
        elif len(self._held) < MAX_HELD:
            self._something()
            self._held.append(lambda behind: behind.row(group, values, **where))

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
        """Queue one event."""
        where: dict[str, int] = {
            "t_ns": t_ns,
            "training": training,
            "step": step,
            "micro": micro,
            "phase": phase,
        }
        writer = self._writer
        if writer is not None:
            writer.event(kind, fields, **where)
        elif len(self._held) < MAX_HELD:
            if kind not in _ASIDES:
                self._something()
            self._held.append(lambda behind: behind.event(kind, fields, **where))

    def training(self, training: Training) -> None:
        """State what is known of a training."""
        if self._writer is not None:
            self._writer.training(training)
        else:
            self._something()
            self._held.append(lambda behind: behind.training(training))

    def _something(self) -> None:
        if not self.has_something:
            self.has_something = True
            self._noticed()

    def flush(self) -> int:
        """Write what is queued, if there is anything to say."""
        if self._writer is None and self.has_something:
            self.open_now()
        return 0 if self._writer is None else self._writer.flush()

    def maintain(self, *, budget_s: float = 0.05) -> None:
        """Roll and merge."""
        if self._writer is not None:
            self._writer.maintain(budget_s=budget_s)

    def status(self, status: Status) -> None:
        """The status is the first process's to write."""

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept."""
        return () if self._writer is None else self._writer.lost

    def close(self, *, deadline_s: float = 1.0) -> None:
        """Flush and let go; a writer that was never needed leaves no file."""
        self.flush()
        if self._writer is not None:
            self._writer.close(deadline_s=deadline_s)
