"""Which series a run has and where their values lie. Made name by name: a run may have a million series, and
most questions are about one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unbug.store.source import Source
from unbug.types import STORED_STATISTICS, Place, Series

__all__ = ["Column", "SeriesIndex"]

Identity = tuple[str, str, "tuple[str, int] | None", int, str, str]


class Column(NamedTuple):
    """Where one writer keeps a series."""

    source: Source
    group: int
    column: int


Entry = tuple[Series, Sequence[Column]]


class SeriesIndex:
    """The series over all writers.

    Args:
        folded: Number of each training that is part of another, and of which.
    """

    def __init__(self, sources: Sequence[Source], folded: Mapping[int, int]) -> None:
        self._sources, self._folded = sources, folded
        self._templates: dict[str, list[tuple[Source, int, list[int]]]] = {}
        self._origins: dict[str, set[str]] = {}
        self._groups: dict[int, Mapping[int, Sequence[int]]] = {}
        for source in sources:
            for number, template in enumerate(source.definitions.templates):
                columns: dict[str, list[int]] = {}
                for at, (name, _, _, origin, _) in enumerate(template.names):
                    columns.setdefault(name, []).append(at)
                    self._origins.setdefault(name, set()).add(origin)
                for name, found in columns.items():
                    self._templates.setdefault(name, []).append((source, number, found))
        self._named: dict[str, dict[Identity, tuple[Series, list[Column]]]] = {}
        self._every: tuple[Series, ...] | None = None

    def names(self, origin: str | None = None) -> frozenset[str]:
        """The names of all series, or of those of one origin."""
        return frozenset(
            name for name, origins in self._origins.items() if origin is None or origin in origins
        )

    def entries(self, name: str | None = None) -> Iterable[Entry]:
        """The series of a name, or all, in the order of first mention; with each where it is."""
        if name is not None:
            return self._entries(name).values()
        return ((series, self.where(series)) for series in self.every())

    def where(self, series: Series) -> Sequence[Column]:
        """Where a series is; empty if the run has none such."""
        entry = self._entries(series.name).get(_identity(series))
        return [] if entry is None else entry[1]

    def every(self) -> tuple[Series, ...]:
        """All series, in the order of first mention."""
        if self._every is None:
            order: dict[int, tuple[int, int, int]] = {}
            found: list[Series] = []
            positions = {id(source): at for at, source in enumerate(self._sources)}
            for name in self._templates:
                for series, where in self.entries(name):
                    first = where[0]
                    order[id(series)] = (positions[id(first.source)], first.group, first.column)
                    found.append(series)
            found.sort(key=lambda series: order[id(series)])
            self._every = tuple(found)
        return self._every

    def summaries(self) -> Mapping[tuple[str, Place], Mapping[str, Series]]:
        """By quantity and place, the series of all stored statistics of a tensor by statistic."""
        found: dict[tuple[str, Place], dict[str, Series]] = {}
        for series in self.every():
            quantity, _, statistic = series.name.rpartition(".")
            if statistic in STORED_STATISTICS and series.origin == "auto" and not series.statistic:
                found.setdefault((quantity, series.place), {})[statistic] = series
        return {key: members for key, members in found.items() if len(members) == len(STORED_STATISTICS)}

    def _entries(self, name: str) -> dict[Identity, tuple[Series, list[Column]]]:
        known = self._named.get(name)
        if known is not None:
            return known
        found: dict[Identity, tuple[Series, list[Column]]] = {}
        wanted: dict[int, list[tuple[int, int]]] = {}
        for source, template, columns in self._templates.get(name, ()):
            groups = self._groups_of(source).get(template, ())
            wanted.setdefault(id(source), []).extend((group, at) for group in groups for at in columns)
        for source in self._sources:
            for group, at in sorted(wanted.get(id(source), ())):
                series = source.definitions.series(group, at)
                if series.place.training in self._folded:
                    place = replace(series.place, training=self._folded[series.place.training])
                    series = replace(series, place=place)
                found.setdefault(_identity(series), (series, []))[1].append(Column(source, group, at))
        self._named[name] = found
        return found

    def _groups_of(self, source: Source) -> Mapping[int, Sequence[int]]:
        known = self._groups.get(id(source))
        if known is None:
            known = self._groups[id(source)] = source.definitions.by_template()
        return known


def _identity(series: Series) -> Identity:
    place = series.place
    return (series.name, place.path, place.source, place.training, series.statistic, series.origin)
