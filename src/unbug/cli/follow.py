"""A run while it goes on, as data: what `unbug tail` shows, from one look to the next."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbug.types import RunState

if TYPE_CHECKING:
    from unbug.store import RunReader
    from unbug.types import Series

__all__ = ["Follower", "Sight"]

KEPT = 400
"""Losses kept for the picture, and steps for the median time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What one look at a run gave.

    Args:
        training: The one that had a row last; -1 before the first.
        step: Steps done in it.
        losses: The last ones, oldest first.
        step_time_s: Median of the last steps; None before two.
        idle_s: Since the last row; None before the first.
        findings: Stated since the look before.
    """

    state: RunState
    attempt: int
    exit_code: int | None
    message: str
    elapsed_s: float
    training: int = -1
    step: int = 0
    losses: tuple[float, ...] = ()
    step_time_s: float | None = None
    idle_s: float | None = None
    findings: tuple[Mapping[str, Any], ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.state is not RunState.RUNNING


class Follower:
    """Looks at a run again and again, taking in only what is new."""

    def __init__(self, reader: RunReader, *, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._reader, self._wall_ns = reader, wall_ns
        self._told: set[tuple[Any, ...]] = set()
        self._forget(-1)

    def _forget(self, training: int) -> None:
        self._training, self._next = training, 0
        self._losses: deque[float] = deque(maxlen=KEPT)
        self._times: deque[int] = deque(maxlen=KEPT)

    def look(self) -> Sight:
        """Take in what is new."""
        status = self._reader.status  # before the rows: the last of these are written before it
        self._reader.refresh()
        self._take_rows()
        run, now = self._reader.run, self._wall_ns()
        began_ns = status.started_ns or run.created_ns
        until_ns = now if status.state is RunState.RUNNING else status.ended_ns or status.updated_ns or now
        gaps = [after - before for before, after in zip(self._times, list(self._times)[1:], strict=False)]
        last_ns = self._times[-1] + run.created_ns - run.anchor_ns if self._times else None
        return Sight(
            state=status.state,
            attempt=status.attempt,
            exit_code=status.exit_code,
            message=status.message,
            elapsed_s=max(until_ns - began_ns, 0) / 1e9,
            training=self._training,
            step=self._next,
            losses=tuple(self._losses),
            step_time_s=statistics.median(gaps) / 1e9 if gaps else None,
            idle_s=None if last_ns is None else max(until_ns - last_ns, 0) / 1e9,
            findings=self._new_findings(),
        )

    def _take_rows(self) -> None:
        found = [(one.place.training, one) for one in self._reader.find(name="loss.value", origin="auto")]
        live = [(number, one) for number, one in found if self._reader.find(name=one.name, training=number)]
        if not live:
            return
        newest = max(number for number, _ in live)
        if newest != self._training:
            self._forget(newest)
        series = next(one for number, one in live if number == newest)
        self._take_new(series)

    def _take_new(self, series: Series) -> None:
        start = self._next
        if not start:  # Attached late: the picture needs the last ones only.
            curve = self._reader.curve(series, points=1, training=self._training)
            start = max(int(curve.step_last.max(initial=0)) - KEPT, 0)
        points = self._reader.read(series, training=self._training, start=start)
        mine = points.rank == points.rank.min() if len(points.rank) else points.rank == 0
        if not mine.any():
            return
        self._losses.extend(points.values[mine].tolist())
        self._times.extend(points.t_ns[mine].tolist())
        self._next = int(points.step[mine].max()) + 1

    def _new_findings(self) -> tuple[Mapping[str, Any], ...]:
        found = []
        for event in self._reader.events("finding"):
            fields = event.fields
            key = (fields.get("rule"), fields.get("place"), fields.get("training"), event.attempt)
            if key not in self._told:
                self._told.add(key)
                found.append(fields)
        return tuple(found)
