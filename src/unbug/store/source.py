"""What one writer wrote, as a reader sees it: each row and each event exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.access import Where
from unbug.store.cache import Cache
from unbug.store.definitions import CLASS_OF, Definitions
from unbug.store.eventlog import Line, decode_events, event_kind, event_size
from unbug.store.frames import FormatError
from unbug.store.rows import Rows
from unbug.store.tail import Part, Sorted
from unbug.store.writer_files import WriterFiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.levels import Buckets
    from unbug.store.segment import Segment

__all__ = ["Source"]

MAX_EVENTS = 1 << 30
"""Bytes of events, inflated, that are taken in at a time."""


class Source:
    """What one writer wrote."""

    def __init__(self, folder: Where, cache: Cache) -> None:
        self._files = WriterFiles(folder, cache)
        self._sorted: dict[int, Sorted] = {}
        self._sorted_blobs: Sorted | None = None
        self._trainings: dict[int, set[int]] | None = None
        self._first_steps: dict[int, int] | None = None
        self._lines: dict[int, Any] = {}

    @property
    def definitions(self) -> Definitions:
        """Header, places and groups."""
        return self._files.definitions

    @property
    def rank(self) -> int:
        """Rank of the writer."""
        return _number(self.definitions.header, "rank")

    @property
    def attempt(self) -> int:
        """Attempt of the writer."""
        return _number(self.definitions.header, "attempt")

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be read, in words."""
        return self._files.faults

    def refresh(self) -> bool:
        """Take in what is new; true if there was anything."""
        changed = self._files.refresh()
        if changed:
            self._sorted.clear()
            self._sorted_blobs = None
            self._trainings = self._first_steps = None
        return changed

    # Rows.
    def _kinds(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.definitions.classes, np.uint8)

    def _uncovered(self, rows: Rows, covered: frozenset[str]) -> Rows:
        """Rows of a log without those of groups that nobody defined, or that a segment holds by now."""
        groups = rows.keys["group"]
        kinds = self._kinds()
        good = groups < len(kinds)
        if covered:
            good &= ~np.isin(kinds[np.minimum(groups, len(kinds) - 1)], [ord(kind) for kind in covered])
        return rows if good.all() else rows.take(good)

    def sorted(self, width: int) -> Sorted | None:
        """Rows of the live logs whose groups have `width` series."""
        if width not in self._sorted:
            parts = [
                self._uncovered(rows, self._files.covered[number])
                for number, tail in self._files.logs.items()
                for rows in tail.rows.get(width, ())
            ]
            parts = [part for part in parts if len(part)]
            if not parts:
                return None
            self._sorted[width] = Sorted(parts)
        return self._sorted[width]

    def sorted_blobs(self) -> Sorted | None:
        """Blobs of the live logs."""
        if self._sorted_blobs is None:
            parts = [
                self._uncovered(rows, self._files.covered[number])
                for number, tail in self._files.logs.items()
                for rows in tail.blobs
            ]
            parts = [part for part in parts if len(part)]
            self._sorted_blobs = Sorted(parts) if parts else None
        return self._sorted_blobs

    def of_class(self, kind: str) -> list[Segment]:
        """Segments of a class, in order of time."""
        return [segment for name, segment in self._files.segments.items() if name.kind == kind]

    def parts(self, group: int, column: int, start: int | None, stop: int | None) -> Iterator[Part]:
        """The rows of one series in order of writing; some of them may lie outside `start <= step < stop`."""
        info = self.definitions.template_of(group)
        for segment in self.of_class(CLASS_OF[info.kind]):
            yield from segment.parts(group, info.width, column, start, stop)
        tail = self.sorted(info.width)
        if tail is not None:
            part = tail.part(group, column)
            if len(part.step):
                yield part

    def rows_of(
        self, group: int, members: NDArray[np.int32] | None, start: int | None, stop: int | None
    ) -> int:
        """About how many rows of the group are asked for; never too few by more than a block's."""
        info = self.definitions.template_of(group)
        found = sum(
            segment.rows_of(group, members, start, stop) for segment in self.of_class(CLASS_OF[info.kind])
        )
        tail = self.sorted(info.width)
        if tail is not None:
            where = tail.slice(group)
            found += where.stop - where.start
        return found

    def pieces(
        self, group: int, column: int, start: int | None, stop: int | None, *, size: int
    ) -> Iterator[Part | Buckets]:
        """As `parts`, but buckets of `size` rows where they are stored and lie in the range."""
        info = self.definitions.template_of(group)
        for segment in self.of_class(CLASS_OF[info.kind]):
            yield from segment.pieces(group, info.width, column, start, stop, size=size)
        tail = self.sorted(info.width)
        if tail is not None:
            part = tail.part(group, column)
            if len(part.step):
                yield part

    def blobs(self, group: int) -> Iterator[tuple[int, int, bytes]]:
        """`(training, step, blob)` of a group of blobs, in order of writing."""
        for segment in self.of_class("b"):
            yield from segment.blobs(group)
        tail = self.sorted_blobs()
        if tail is not None and tail.rows.blobs is not None:
            where = tail.slice(group)
            keys = tail.rows.keys[where]
            yield from zip(
                keys["training"].tolist(), keys["step"].tolist(), tail.rows.blobs[where], strict=True
            )

    def trainings_of(self, group: int) -> set[int]:
        """Numbers of the trainings in which the group has rows."""
        if self._trainings is None:
            self._trainings = {}
            for pairs in self._group_trainings():
                for pair in pairs.tolist():
                    number, training = pair >> 32, (pair & 0xFFFFFFFF) - (1 << 31)
                    self._trainings.setdefault(number, set()).add(training)
        return self._trainings.get(group, set())

    def _group_trainings(self) -> Iterator[NDArray[np.int64]]:
        from unbug.store.segment import pairs_of

        for segment in self._files.segments.values():
            yield segment.trainings()
        for tail in self._tails():
            yield pairs_of(tail.rows.keys)

    def first_steps(self) -> Mapping[int, int]:
        """The lowest step, from 0, that each training has a row of."""
        if self._first_steps is None:
            found: dict[int, int] = {}
            for segment in self._files.segments.values():
                for training, step in segment.first_steps().items():
                    found[training] = min(found.get(training, step), step)
            for tail in self._tails():
                keys = tail.rows.keys
                keys = keys[(keys["training"] >= 0) & (keys["step"] >= 0)]
                for training in np.unique(keys["training"]).tolist():
                    step = int(keys["step"][keys["training"] == training].min())
                    found[training] = min(found.get(training, step), step)
            self._first_steps = found
        return self._first_steps

    def _tails(self) -> Iterator[Sorted]:
        """All rows and blobs of the live logs."""
        widths = {width for tail in self._files.logs.values() for width in tail.rows}
        for tail in (*(self.sorted(width) for width in sorted(widths)), self.sorted_blobs()):
            if tail is not None:
                yield tail

    # Events.
    def lines(self, kind: str | None) -> Iterator[Line]:
        """Events in order of writing."""
        payloads: list[bytes | memoryview] = []
        for segment in self._files.event_segments.values():
            payloads.extend(segment.payloads)
        for number, tail in self._files.logs.items():
            if "e" not in self._files.covered[number]:
                payloads.extend(tail.events)
        fresh: dict[int, Any] = {}
        taken = 0
        for payload in payloads:
            of = event_kind(payload)
            known = self._lines.get(id(payload))
            if kind is not None and of and of != kind:
                if known is not None:
                    fresh[id(payload)] = known
                continue
            if known is None:
                try:
                    taken += event_size(payload)
                    if taken > MAX_EVENTS:
                        raise FormatError("there are more events than a run has")
                    known = (payload, decode_events(payload))
                except FormatError as error:
                    self._files.fault(str(error))
                    known = (payload, ())
            fresh[id(payload)] = known
            yield from (line for line in known[1] if kind is None or line[0] == kind)
        self._lines = fresh

    def close(self) -> None:
        """Release the files."""
        self._files.close()


def _number(header: dict[str, Any], name: str) -> int:
    value = header.get(name, 0)
    return value if isinstance(value, int) and 0 <= value < 1 << 15 else 0
