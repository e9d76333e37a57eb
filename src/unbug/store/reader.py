"""The reading end of a run: all writers merged, live or closed, in a folder or packed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.store.access import Where, is_folder, listing, release, root_of
from unbug.store.attempts import attempts_of, past_statuses
from unbug.store.cache import Cache
from unbug.store.contract import Curve, Points
from unbug.store.folders import WRITERS
from unbug.store.manifest import manifest_of, present_status
from unbug.store.series_index import Column, SeriesIndex
from unbug.store.source import Source
from unbug.store.superseded import Cut, cuts_of, kept
from unbug.store.training_index import TrainingIndex
from unbug.types import Attempt, Event, Phase, Place, Run, Series, Status, Training

if TYPE_CHECKING:
    from unbug.store.tail import Part

__all__ = ["RunReader", "open_reader"]

CACHE_BYTES = 128 << 20
"""Decoded columns kept in memory; those of neighbouring groups lie in one block."""


class RunReader:
    """Reads a run; see `contract.Reader`."""

    def __init__(self, path: Path, root: Where, run: Run, *, wall_ns: Callable[[], int]) -> None:
        self.path, self.run = path, run
        self._root, self._wall_ns = root, wall_ns
        self._sources: dict[str, Source] = {}
        self._cache = Cache(CACHE_BYTES)
        self._writers_fault = ""
        self._reset()
        self.refresh()

    def _reset(self) -> None:
        self._index: SeriesIndex | None = None
        self._known_trainings: TrainingIndex | None = None
        self._known_cuts: Mapping[int, Cut] | None = None

    @property
    def status(self) -> Status:
        """As last written, corrected; see `contract.Reader.status`."""
        return present_status(self._root, now_ns=self._wall_ns())

    def attempts(self) -> tuple[Attempt, ...]:
        """See `contract.Reader.attempts`."""
        headers = [source.definitions.header for source in self._sources.values()]
        return attempts_of(self.run.created_ns, self.status, past_statuses(self._root), headers)

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be read, in words; empty if all could."""
        said = [f"{name}: {text}" for name, source in self._sources.items() for text in source.faults]
        return tuple([self._writers_fault, *said] if self._writers_fault else said)

    @property
    def root(self) -> Where:
        """Its files. For this room only."""
        return self._root

    @property
    def sources(self) -> tuple[Source, ...]:
        """The writers of the run, by rank and attempt. For this room only."""
        return tuple(self._sources.values())

    def refresh(self) -> bool:
        """Take in what was written since; true if there was anything."""
        folder = self._root / WRITERS
        try:
            names = sorted(listing(folder))
            self._writers_fault = ""
        except OSError as error:
            self._writers_fault = f"{WRITERS}: {error.strerror}"
            return False
        changed = False
        for name in names:
            if name not in self._sources and is_folder(folder / name):
                self._sources[name] = Source(folder / name, self._cache)
                self._sources = dict(sorted(self._sources.items()))
                changed = True
        for source in self._sources.values():
            changed |= source.refresh()
        if changed:
            self._reset()
        return changed

    # What there is.
    def _trainings(self) -> TrainingIndex:
        if self._known_trainings is None:
            self._known_trainings = TrainingIndex(self.events("training"))
        return self._known_trainings

    def _series(self) -> SeriesIndex:
        if self._index is None:
            self._index = SeriesIndex(self.sources, self._trainings().folded)
        return self._index

    def trainings(self) -> tuple[Training, ...]:
        """By number; those that turned out to be part of another are folded in."""
        return self._trainings().trainings

    def places(self) -> tuple[Place, ...]:
        """Every place once, in the order of first mention."""
        found: dict[tuple[Any, ...], Place] = {}
        folded = self._trainings().folded
        for source in self._sources.values():
            for place in source.definitions.places:
                training = folded.get(place.training, place.training)
                key = (place.path, place.kind, place.source, training)
                if key not in found or (place.order >= 0 and found[key].order < 0):
                    found[key] = replace(place, training=training) if training != place.training else place
        return tuple(found.values())

    def series(self) -> tuple[Series, ...]:
        """Every series once, over all writers."""
        return self._series().every()

    def names(self, *, origin: str | None = None) -> frozenset[str]:
        """See `contract.Reader.names`."""
        return self._series().names(origin)

    def find(
        self,
        *,
        name: str | None = None,
        place: str | None = None,
        statistic: str | None = None,
        origin: str | None = None,
        training: int | None = None,
    ) -> tuple[Series, ...]:
        """See `contract.Reader.find`."""
        members = self._trainings().members(training)
        numbers = None if members is None else set(members.tolist())
        return tuple(
            series
            for series, where in self._series().entries(name)
            if (place is None or series.place.path == place)
            and (statistic is None or series.statistic == statistic)
            and (origin is None or series.origin == origin)
            and (numbers is None or any(one.source.trainings_of(one.group) & numbers for one in where))
        )

    def is_blob(self, series: Series) -> bool:
        """Whether the series holds blobs and not numbers."""
        return any(source.definitions.kind(group) == "blob" for source, group, _ in self._where(series))

    def summary_groups(self) -> Mapping[tuple[str, Place], Mapping[str, Series]]:
        """By quantity and place, the series of all stored statistics of a tensor by statistic."""
        return self._series().summaries()

    # Values.
    def _where(self, series: Series) -> Sequence[Column]:
        return self._series().where(series)

    def _numbers(self, series: Series) -> list[Column]:
        """Where the series is one of numbers: blobs have no rows to read."""
        return [one for one in self._where(series) if one.source.definitions.kind(one.group) != "blob"]

    def _cut(self, source: Source, *, all_attempts: bool) -> Cut:
        """From which steps on the rows of a writer are left out."""
        if all_attempts:
            return {}
        if self._known_cuts is None:
            self._known_cuts = cuts_of(self.sources, self._trainings().folded)
        return self._known_cuts.get(source.attempt, {})

    def read(
        self,
        series: Series,
        *,
        training: int | None = None,
        start: int | None = None,
        stop: int | None = None,
        all_attempts: bool = False,
    ) -> Points:
        """See `contract.Reader.read`."""
        from unbug.store.curves import filtered, points_of

        members = self._trainings().members(training)
        found: list[tuple[Source, Part]] = []
        for source, group, column in self._numbers(series):
            cut, shift = self._cut(source, all_attempts=all_attempts), self._shift_ns(source)
            for part in source.parts(group, column, start, stop):
                part = kept(filtered(part, members, start, stop), cut)
                if len(part.step):
                    found.append((source, part._replace(t_ns=part.t_ns + shift) if shift else part))
        return points_of(found, self._trainings().unfolded)

    def curve(
        self,
        series: Series,
        *,
        points: int = 2000,
        training: int | None = None,
        start: int | None = None,
        stop: int | None = None,
        all_attempts: bool = False,
    ) -> Curve:
        """See `contract.Reader.curve`."""
        from unbug.store.curves import curve_of

        where = [
            (one, self._cut(one.source, all_attempts=all_attempts), self._shift_ns(one.source))
            for one in self._numbers(series)
        ]
        members = self._trainings().members(training)
        return curve_of(where, points=points, members=members, start=start, stop=stop)

    def blobs(
        self, series: Series, *, training: int | None = None, all_attempts: bool = False
    ) -> Iterator[tuple[int, int, bytes]]:
        """See `contract.Reader.blobs`."""
        folded = self._trainings().folded
        for source, group, _ in self._where(series):
            if source.definitions.kind(group) != "blob":
                continue
            cut = self._cut(source, all_attempts=all_attempts)
            for number, step, blob in source.blobs(group):
                root = folded.get(number, number)
                if training in (None, root) and not (number in cut and step >= cut[number]):
                    yield root, step, blob

    def events(self, kind: str | None = None, *, training: int | None = None) -> tuple[Event, ...]:
        """See `contract.Reader.events`."""
        folded: Mapping[int, int] = {} if kind == "training" else self._trainings().folded
        found = []
        for source in self._sources.values():
            shift = self._shift_ns(source)
            for of, t_ns, number, step, micro, phase, given in source.lines(kind):
                number = folded.get(number, number)
                if training is None or number == training:
                    found.append(
                        Event(
                            kind=of,
                            t_ns=t_ns + shift,
                            training=number,
                            step=step,
                            micro=micro,
                            phase=Phase(phase),
                            rank=source.rank,
                            attempt=source.attempt,
                            fields=given,
                        )
                    )
        found.sort(key=lambda event: event.t_ns)
        return tuple(found)

    def _shift_ns(self, source: Source) -> int:
        """What to add to a writer's clock to get the run's: nothing on the machine where the run began."""
        header = source.definitions.header
        if header.get("boot_id") == self._boot_id():
            return 0
        wall, anchor = header.get("wall_ns"), header.get("anchor_ns")
        if not isinstance(wall, int) or not isinstance(anchor, int):
            return 0
        return (wall - anchor) - (self.run.created_ns - self.run.anchor_ns)

    def _boot_id(self) -> str:
        for source in self._sources.values():
            if source.definitions.header:
                return str(source.definitions.header.get("boot_id"))
        return ""

    def close(self) -> None:
        """Release the files."""
        for source in self._sources.values():
            source.close()
        release(self._root)


def open_reader(path: Path, *, wall_ns: Callable[[], int] = time.time_ns) -> RunReader:
    """Open a run for reading, while it is written too. Loads no values and executes nothing.

    Args:
        path: Its folder, or the file that `pack_run` made of it.
    Raises:
        NotARunError: it is no run.
        NewerFormatError: a newer unbug wrote it.
    """
    root = root_of(path)
    try:
        return RunReader(path, root, manifest_of(root), wall_ns=wall_ns)
    except BaseException:
        release(root)
        raise
