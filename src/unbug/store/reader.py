"""The reading end of a run: all writers merged, live or closed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.cache import Cache
from unbug.store.contract import Curve, Points
from unbug.store.folders import WRITERS
from unbug.store.liveness import corrected
from unbug.store.manifest import read_manifest, read_status
from unbug.store.source import Source
from unbug.types import STORED_STATISTICS, Event, Phase, Place, Run, Series, Status, Training

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.tail import Part

__all__ = ["RunReader", "open_reader"]

CACHE_BYTES = 128 << 20
"""Decoded columns kept in memory; those of neighbouring groups lie in one block."""
Identity = tuple[str, str, "tuple[str, int] | None", int, str, str]
_TRAINING_FIELDS = frozenset(field.name for field in fields(Training))


class RunReader:
    """Reads a run; see `contract.Reader`."""

    def __init__(self, path: Path, run: Run, *, wall_ns: Callable[[], int]) -> None:
        self.path, self.run = path, run
        self._wall_ns = wall_ns
        self._sources: dict[str, Source] = {}
        self._cache = Cache(CACHE_BYTES)
        self._writers_fault = ""
        self._reset()
        self.refresh()

    def _reset(self) -> None:
        self._index: dict[Identity, tuple[Series, list[tuple[Source, int, int]]]] | None = None
        self._by_name: dict[str, list[tuple[Series, list[tuple[Source, int, int]]]]] = {}
        self._folded: dict[int, int] | None = None
        self._trainings: tuple[Training, ...] | None = None

    @property
    def status(self) -> Status:
        """As last written, corrected; see `contract.Reader.status`."""
        return corrected(read_status(self.path), now_ns=self._wall_ns())

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be read, in words; empty if all could."""
        said = [f"{name}: {text}" for name, source in self._sources.items() for text in source.faults]
        return tuple([self._writers_fault, *said] if self._writers_fault else said)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The writers of the run, by rank and attempt. For this room only."""
        return tuple(self._sources.values())

    def refresh(self) -> bool:
        """Take in what was written since; true if there was anything."""
        folder = self.path / WRITERS
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names only
            self._writers_fault = ""
        except OSError as error:
            self._writers_fault = f"{WRITERS}: {error.strerror}"
            return False
        changed = False
        for name in names:
            if name not in self._sources and (folder / name).is_dir():
                self._sources[name] = Source(folder / name, self._cache)
                self._sources = dict(sorted(self._sources.items()))
                changed = True
        for source in self._sources.values():
            changed |= source.refresh()
        if changed:
            self._reset()
        return changed

    # Trainings.
    def _all_trainings(self) -> dict[int, Training]:
        found: dict[int, Training] = {}
        for event in self.events("training"):
            given = {name: value for name, value in event.fields.items() if name in _TRAINING_FIELDS}
            try:
                given["optimizers"] = tuple(given.get("optimizers", ()))
                training = Training(**given)
            except TypeError:
                continue
            counts = (training.number, training.steps, training.parameters, training.same_as or 0)
            if not all(isinstance(count, int) for count in counts):
                continue
            known = found.get(training.number)
            if known is not None and event.rank and known.steps >= training.steps:
                continue
            found[training.number] = training
        return found

    def _fold(self) -> Mapping[int, int]:
        """Number of each training that is part of another, and of which."""
        if self._folded is None:
            every = self._all_trainings()
            self._folded = {}
            for number in every:
                seen, root = {number}, number
                while (same := every[root].same_as) is not None and same in every:
                    if same in seen:  # They claim to be each other: the first one stands for all.
                        root = min(seen)
                        break
                    root = same
                    seen.add(root)
                if root != number:
                    self._folded[number] = root
            self._trainings = tuple(every[number] for number in sorted(every) if number not in self._folded)
        return self._folded

    def trainings(self) -> tuple[Training, ...]:
        """By number; those that turned out to be part of another are folded in."""
        self._fold()
        return self._trainings or ()

    def _members(self, training: int | None) -> NDArray[np.int32] | None:
        """The numbers under which a training was recorded."""
        if training is None:
            return None
        return np.array(
            [training, *(part for part, root in self._fold().items() if root == training)], np.int32
        )

    def _unfolded(self, training: NDArray[Any]) -> NDArray[np.int64]:
        out = training.astype(np.int64)
        for part, root in self._fold().items():
            out[training == part] = root
        return out

    # Places and series.
    def _series_index(self) -> dict[Identity, tuple[Series, list[tuple[Source, int, int]]]]:
        if self._index is None:
            index: dict[Identity, tuple[Series, list[tuple[Source, int, int]]]] = {}
            folded = self._fold()
            for source in self._sources.values():
                for group in source.definitions.groups:
                    for column, series in enumerate(group.series):
                        if series.place.training in folded:
                            place = replace(series.place, training=folded[series.place.training])
                            series = replace(series, place=place)
                        entry = index.setdefault(_identity(series), (series, []))
                        entry[1].append((source, group.number, column))
            self._index = index
            for entry in index.values():
                self._by_name.setdefault(entry[0].name, []).append(entry)
        return self._index

    def places(self) -> tuple[Place, ...]:
        """Every place once, in the order of first mention."""
        found: dict[tuple[Any, ...], Place] = {}
        folded = self._fold()
        for source in self._sources.values():
            for place in source.definitions.places:
                training = folded.get(place.training, place.training)
                key = (place.path, place.kind, place.source, training)
                if key not in found or (place.order >= 0 and found[key].order < 0):
                    found[key] = replace(place, training=training)
        return tuple(found.values())

    def series(self) -> tuple[Series, ...]:
        """Every series once, over all writers."""
        return tuple(series for series, _ in self._series_index().values())

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
        members = None if training is None else {int(number) for number in self._members(training)}  # type: ignore[union-attr]
        found = []
        index = self._series_index()
        for series, where in index.values() if name is None else self._by_name.get(name, ()):
            if (
                (place is None or series.place.path == place)
                and (statistic is None or series.statistic == statistic)
                and (origin is None or series.origin == origin)
                and (
                    members is None or any(source.trainings_of(group) & members for source, group, _ in where)
                )
            ):
                found.append(series)
        return tuple(found)

    def is_blob(self, series: Series) -> bool:
        """Whether the series holds blobs and not numbers."""
        return any(
            source.definitions.groups[group].kind == "blob" for source, group, _ in self._where(series)
        )

    def summary_groups(self) -> Mapping[tuple[str, Place], Mapping[str, Series]]:
        """By quantity and place, the series of all stored statistics of a tensor by statistic."""
        found: dict[tuple[str, Place], dict[str, Series]] = {}
        for series in self.series():
            quantity, _, statistic = series.name.rpartition(".")
            if series.origin == "auto" and not series.statistic and statistic in STORED_STATISTICS:
                found.setdefault((quantity, series.place), {})[statistic] = series
        return {key: members for key, members in found.items() if len(members) == len(STORED_STATISTICS)}

    # Values.
    def _where(self, series: Series) -> list[tuple[Source, int, int]]:
        entry = self._series_index().get(_identity(series))
        return [] if entry is None else entry[1]

    def _numbers(self, series: Series) -> list[tuple[Source, int, int]]:
        """Where the series is one of numbers: blobs have no rows to read."""
        return [one for one in self._where(series) if one[0].definitions.groups[one[1]].kind != "blob"]

    def _parts(
        self, series: Series, training: int | None, start: int | None, stop: int | None
    ) -> Iterator[tuple[Source, Part]]:
        from unbug.store.curves import filtered

        members = self._members(training)
        for source, group, column in self._numbers(series):
            for part in source.parts(group, column, start, stop):
                part = filtered(part, members, start, stop)
                if len(part.step):
                    yield source, part

    def read(
        self,
        series: Series,
        *,
        training: int | None = None,
        start: int | None = None,
        stop: int | None = None,
    ) -> Points:
        """See `contract.Reader.read`."""
        from unbug.store.curves import points_of

        return points_of(list(self._parts(series, training, start, stop)), self._unfolded)

    def curve(
        self,
        series: Series,
        *,
        points: int = 2000,
        training: int | None = None,
        start: int | None = None,
        stop: int | None = None,
    ) -> Curve:
        """See `contract.Reader.curve`."""
        from unbug.store.curves import curve_of

        where = self._numbers(series)
        return curve_of(where, points=points, members=self._members(training), start=start, stop=stop)

    def blobs(self, series: Series, *, training: int | None = None) -> Iterator[tuple[int, int, bytes]]:
        """See `contract.Reader.blobs`."""
        folded = self._fold()
        for source, group, _ in self._where(series):
            if source.definitions.groups[group].kind != "blob":
                continue
            for number, step, blob in source.blobs(group):
                number = folded.get(number, number)
                if training is None or number == training:
                    yield number, step, blob

    def events(self, kind: str | None = None, *, training: int | None = None) -> tuple[Event, ...]:
        """See `contract.Reader.events`."""
        folded: Mapping[int, int] = {} if kind == "training" else self._fold()
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


def _identity(series: Series) -> Identity:
    place = series.place
    return (series.name, place.path, place.source, place.training, series.statistic, series.origin)


def open_reader(path: Path, *, wall_ns: Callable[[], int] = time.time_ns) -> RunReader:
    """Open a run folder for reading, while it is written too. Loads no values and executes nothing.

    Raises:
        NotARunError: the folder is no run.
        NewerFormatError: a newer unbug wrote it.
    """
    return RunReader(path, read_manifest(path), wall_ns=wall_ns)
