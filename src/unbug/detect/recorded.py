"""Windows over a recorded run: rows of one training out of a store reader, derived statistics included."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.detect.track import Track
from unbug.detect.window import Window
from unbug.errors import StoppedError
from unbug.numerics import derive
from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS, Event, Phase, Place, Series, Training

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.contract import Points, Reader

__all__ = ["windows"]

RANK = 0
"""Of several ranks rules see the first one's rows; what differs between ranks is the business of K rules."""
MOST_RANKS = 64
"""With more of them, comparing takes longer than it is worth."""
OF_ANY_RANK = frozenset({"end", "hang"})
"""Events that rules see of every rank: one process that ends or hangs stops all."""
OF_THE_RUN = frozenset({"end"})
"""Events that concern the run: rules see them in its last training, so that they are told once."""

MOST_SHARED = 512
"""Rows of a series of which arrays are shared with others."""
_SHARED = ("training", "step", "micro", "phase", "t_ns", "user_step", "attempt", "rank")


def windows(
    reader: Reader,
    *,
    live: bool = False,
    only_training: int | None = None,
    proceed: Callable[[], bool] | None = None,
) -> tuple[Window, ...]:
    """One window for each training; a run without any gets one for what was seen outside (number -1).

    Args:
        live: The run still writes: only trainings that a later one replaced have ended.
        only_training: Number of the one training to look at.
        proceed: Asked before a series is read whether to go on; if not, reading raises `StoppedError`.
    """
    trainings = tuple(t for t in reader.trainings() if t.same_as is None) or (
        Training(number=-1, ended=True),
    )
    last = trainings[-1].number
    return tuple(
        Window(
            training,
            _Recorded(reader, training, last=training.number == last, proceed=proceed),
            ended=training.ended if live else True,
        )
        for training in trainings
        if only_training is None or training.number == only_training
    )


class _Recorded:
    """Rows of one training of a run; `last` if no other training follows it."""

    def __init__(
        self,
        reader: Reader,
        training: Training,
        *,
        last: bool,
        proceed: Callable[[], bool] | None = None,
        rank: int = RANK,
    ) -> None:
        self._reader, self._training, self._last = reader, training, last
        self._proceed, self._rank = proceed, rank
        self._rows: dict[Series, Points] = {}
        self._seen: tuple[Event, ...] | None = None
        self._by_name: dict[str, list[Series]] | None = None
        self._by_place: dict[tuple[str, Place, str], Series] = {}
        self._alike: dict[tuple[str, bytes], NDArray[Any]] = {}

    def tracks(self, name: str, phase: Phase | None) -> Sequence[Track]:
        found = [self._track(series, self._points(series), None, phase) for series in self._series(name)]
        if found:
            return found
        quantity, _, statistic = name.rpartition(".")
        if statistic not in DERIVED_STATISTICS:
            return []
        return [
            self._track(series, points, values, phase, name=name)
            for series in self._series(f"{quantity}.count")
            for points, values in [self._derived(series, quantity, statistic)]
        ]

    def events(self) -> Sequence[Event]:
        if self._seen is None:
            own = self._reader.events(training=self._training.number)
            outside = self._reader.events(training=-1) if self._training.number != -1 else ()
            attempt = max((event.attempt for event in (*own, *outside)), default=0)
            mine = _lasting([event for event in own if self._concerns(event)])
            shared = [event for event in outside if self._concerns(event) and event.attempt == attempt]
            self._seen = tuple(
                sorted(
                    {id(e): e for e in (*shared, *mine)}.values(),
                    key=lambda event: (event.attempt, event.t_ns),
                )
            )
        return self._seen

    def _concerns(self, event: Event) -> bool:
        return (event.rank == self._rank or event.kind in OF_ANY_RANK) and (
            self._last or event.kind not in OF_THE_RUN
        )

    def ranks(self) -> Sequence[_Recorded]:
        """What each rank recorded; the rows that were read already are shared."""
        found = {int(rank) for series in self._series("loss.value") for rank in self._points(series).rank}
        if len(found) < 2 or len(found) > MOST_RANKS:
            return ()
        return [self._of(rank) for rank in sorted(found)]

    def _of(self, rank: int) -> _Recorded:
        other = _Recorded(self._reader, self._training, last=self._last, proceed=self._proceed, rank=rank)
        other._rows, other._by_name, other._by_place = self._rows, self._by_name, self._by_place
        return other

    def places(self) -> Sequence[Place]:
        """Those that have rows, and those that were only named."""
        recorded = [p for p in self._reader.places() if p.training in (self._training.number, -1)]
        known = {place.path for place in recorded}
        named = [event.fields.get("places") or () for event in self.events() if event.kind == "places"]
        rest = [one for one in map(_place, named[-1] if named else ()) if one is not None]
        return (*recorded, *(place for place in rest if place.path not in known))

    def _series(self, name: str) -> list[Series]:
        if self._by_name is None:
            self._by_name = {}
            for series in self._reader.series():
                if series.origin == "auto" and series.place.training in (self._training.number, -1):
                    self._by_name.setdefault(series.name, []).append(series)
                    self._by_place.setdefault((series.name, series.place, series.statistic), series)
        return self._by_name.get(name, [])

    def _points(self, series: Series) -> Points:
        if series not in self._rows:
            if self._proceed is not None and not self._proceed():
                raise StoppedError
            points = self._reader.read(series, training=self._training.number)
            self._rows[series] = self._sharing(points) if len(points.step) <= MOST_SHARED else points
        return self._rows[series]

    def _sharing(self, points: Points) -> Points:
        """The same rows, with arrays that other series have alike: a wide model has 100,000 short series of
        the same steps."""
        arrays = {name: getattr(points, name) for name in _SHARED}
        kept = {
            name: self._alike.setdefault((name, array.tobytes()), array) for name, array in arrays.items()
        }
        return dataclasses.replace(points, **kept)

    def _derived(self, count: Series, quantity: str, statistic: str) -> tuple[Points, NDArray[np.float64]]:
        """Compute a statistic at one place from the stored ones, which are written together, row by row."""
        points = self._points(count)
        stored = {"count": points.values}
        for name in STORED_STATISTICS[1:]:
            series = self._by_place.get((f"{quantity}.{name}", count.place, count.statistic))
            if series is not None:
                other = self._points(series)
                if len(other.values) == len(points.values):
                    stored[name] = other.values
        return points, derive(statistic, stored)

    def _track(
        self,
        series: Series,
        points: Points,
        values: NDArray[np.float64] | None,
        phase: Phase | None,
        *,
        name: str = "",
    ) -> Track:
        keep = points.rank == self._rank
        keep &= points.phase != Phase.EVAL if phase is None else points.phase == phase
        keep &= ~_repeated(points)
        steps, micros = points.step, points.micro
        rows = points.values if values is None else values
        if not keep.all() or not (steps[1:] > steps[:-1]).all():  # else a wide model's rows would be copied
            order = np.flatnonzero(keep)
            order = order[np.lexsort((points.t_ns[order], micros[order], steps[order]))]
            steps, rows, micros = steps[order], rows[order], micros[order]
        return Track(
            name=name or series.name,
            where=series.place,
            steps=steps,
            values=rows,
            statistic=series.statistic,
            unit=series.unit,
            sampled=series.sampled,
            training=self._training.number,
            micros=micros,
        )


def _place(told: Mapping[str, Any]) -> Place | None:
    """A place as the `places` event tells it; None for what this version does not know."""
    fields = {field.name for field in dataclasses.fields(Place)}
    given = {name: value for name, value in told.items() if name in fields}
    source = given.get("source")
    try:
        for name in ("shape", "aliases"):
            given[name] = tuple(given.get(name) or ())
        return Place(**given | {"source": (str(source[0]), int(source[1])) if source else None})
    except (TypeError, ValueError, IndexError):
        return None


def _lasting(events: list[Event]) -> list[Event]:
    """Without the events of steps that a later attempt did again, and in order of the attempts."""
    until: float = float("inf")
    kept: list[Event] = []
    for attempt in sorted({event.attempt for event in events}, reverse=True):
        own = [event for event in events if event.attempt == attempt]
        kept += [event for event in own if event.step < until]
        until = min([until, *(event.step for event in own if event.step >= 0)])
    return kept


def _repeated(points: Points) -> NDArray[np.bool_]:
    """Rows that a later attempt (the program was resumed) did again."""
    repeated = np.zeros(len(points.step), np.bool_)
    if not len(repeated) or points.attempt.min() == points.attempt.max():
        return repeated
    for attempt in np.unique(points.attempt)[1:]:
        again = points.step[points.attempt == attempt]
        repeated |= (points.attempt < attempt) & (points.step >= again.min())
    return repeated
