"""One writer's folder as a reader sees it: definitions, segments and live logs, each row exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.cache import Cache
from unbug.store.definitions import Definitions
from unbug.store.eventlog import Line, decode_events, event_kind
from unbug.store.frames import LOG_MAGIC, FormatError, FrameKind, scan
from unbug.store.layout import (
    DEFINITIONS,
    SegmentName,
    log_name,
    log_numbers,
    picked,
    segment_names,
    stable_listing,
)
from unbug.store.rows import Rows
from unbug.store.tail import LogTail, Part, Sorted, read_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.levels import Buckets
    from unbug.store.segment import EventSegment, Segment

__all__ = ["Source"]

_CLASS_OF = {"scalar": "s", "detail": "d", "blob": "b"}
_TRIES = 20


class Source:
    """What one writer wrote."""

    def __init__(self, folder: Path, cache: Cache) -> None:
        self.folder, self._cache = folder, cache
        self.definitions = Definitions()
        self.segments: dict[SegmentName, Segment] = {}
        self.event_segments: dict[SegmentName, EventSegment] = {}
        self.logs: dict[int, LogTail] = {}
        self._defined_to = 0
        self._faults: dict[str, None] = {}
        self._covered: dict[int, frozenset[str]] = {}
        self._sorted: dict[int, Sorted] = {}
        self._sorted_blobs: Sorted | None = None
        self._trainings: dict[int, set[int]] = {}
        self._lines: dict[int, Any] = {}

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
        logs = (f"{tail.path.name}: {text}" for tail in self.logs.values() for text in tail.faults)
        every: tuple[tuple[SegmentName, Segment | EventSegment], ...]
        every = (*self.segments.items(), *self.event_segments.items())
        return (*self._faults, *logs, *(f"{name}: {text}" for name, one in every for text in one.faults))

    def refresh(self) -> bool:
        """Take in what is new; true if there was anything."""
        changed = False
        for _ in range(_TRIES):
            try:
                changed |= self._refresh()
                break
            except FileNotFoundError:  # Merged away between listing and opening: list again.
                continue
            except OSError as error:
                self._fault(f"{error.filename or self.folder.name}: {error.strerror}")
                break
        if changed:
            self._sorted.clear()
            self._trainings.clear()
            self._sorted_blobs = None
        return changed

    def _fault(self, text: str) -> None:
        if len(self._faults) < 20:
            self._faults[text] = None

    def _refresh(self) -> bool:
        names = stable_listing(self.folder)
        # Definitions are written before the rows that need them: read them after the rows were listed and
        # read.
        changed = self._refresh_segments(names)
        changed |= self._refresh_logs(names)
        if DEFINITIONS in names:
            changed |= self._refresh_definitions()
        return changed

    def _refresh_definitions(self) -> bool:
        data = read_from(self.folder / DEFINITIONS, self._defined_to)
        start = end = 0 if self._defined_to else len(LOG_MAGIC)
        if not self._defined_to and data[:end] != LOG_MAGIC[: len(data)]:
            self._fault(f"{DEFINITIONS}: it is no log of unbug")
            return False
        for end, kind, payload in scan(data, start):  # noqa: B007 - where it stopped
            if kind == FrameKind.DEFINITIONS:
                try:
                    self.definitions.take(payload)
                except FormatError as error:
                    self._fault(f"{DEFINITIONS}: {error}")
        if end > start:
            self._defined_to += end
        return end > start

    def _refresh_segments(self, names: frozenset[str]) -> bool:
        wanted, _ = picked(segment_names(names))
        if not wanted and not self.segments and not self.event_segments:
            return False
        from unbug.store.segment import EventSegment, Segment

        changed = False
        opened: dict[SegmentName, Segment] = {}
        events: dict[SegmentName, EventSegment] = {}
        for name in wanted:
            path = self.folder / str(name)
            try:
                if name.kind == "e":
                    events[name] = self.event_segments.get(name) or EventSegment(path)
                else:
                    opened[name] = self.segments.get(name) or Segment(path, name.kind, self._cache)
            except FileNotFoundError:
                raise
            except OSError as error:
                self._fault(f"{name}: {error.strerror}")
        if opened.keys() != self.segments.keys() or events.keys() != self.event_segments.keys():
            changed = True
            for name, segment in self.segments.items():
                if name not in opened:
                    segment.close()
            self.segments, self.event_segments = opened, events
        return changed

    def _refresh_logs(self, names: frozenset[str]) -> bool:
        changed = False
        logs: dict[int, LogTail] = {}
        covered: dict[int, frozenset[str]] = {}
        every = [*self.segments, *self.event_segments]
        for number in log_numbers(names):
            by = frozenset(name.kind for name in every if name.low <= number <= name.high)
            tail = self.logs.get(number)
            if tail is None:
                tail, changed = LogTail(self.folder / log_name(number)), True
            changed |= tail.refresh()
            logs[number], covered[number] = tail, by
        changed |= logs.keys() != self.logs.keys() or covered != self._covered
        self.logs, self._covered = logs, covered
        return changed

    # Rows.
    def _kinds(self) -> NDArray[np.uint8]:
        return np.array([ord(_CLASS_OF[group.kind]) for group in self.definitions.groups], np.uint8)

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
                self._uncovered(rows, self._covered[number])
                for number, tail in self.logs.items()
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
                self._uncovered(rows, self._covered[number])
                for number, tail in self.logs.items()
                for rows in tail.blobs
            ]
            parts = [part for part in parts if len(part)]
            self._sorted_blobs = Sorted(parts) if parts else None
        return self._sorted_blobs

    def of_class(self, kind: str) -> list[Segment]:
        """Segments of a class, in order of time."""
        return [segment for name, segment in self.segments.items() if name.kind == kind]

    def parts(self, group: int, column: int, start: int | None, stop: int | None) -> Iterator[Part]:
        """The rows of one series in order of writing; some of them may lie outside `start <= step < stop`."""
        info = self.definitions.groups[group]
        for segment in self.of_class(_CLASS_OF[info.kind]):
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
        info = self.definitions.groups[group]
        found = sum(
            segment.rows_of(group, members, start, stop) for segment in self.of_class(_CLASS_OF[info.kind])
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
        info = self.definitions.groups[group]
        for segment in self.of_class(_CLASS_OF[info.kind]):
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
        known = self._trainings.get(group)
        if known is None:
            known = self._trainings[group] = self._trainings_of(group)
        return known

    def _trainings_of(self, group: int) -> set[int]:
        info = self.definitions.groups[group]
        found: set[int] = set()
        for segment in self.of_class(_CLASS_OF[info.kind]):
            found |= segment.trainings_of(group)
        tail = self.sorted_blobs() if info.kind == "blob" else self.sorted(info.width)
        if tail is not None:
            found.update(np.unique(tail.rows.keys["training"][tail.slice(group)]).tolist())
        return found

    # Events.
    def lines(self, kind: str | None) -> Iterator[Line]:
        """Events in order of writing."""
        payloads: list[bytes | memoryview] = []
        for segment in self.event_segments.values():
            payloads.extend(segment.payloads)
        for number, tail in self.logs.items():
            if "e" not in self._covered[number]:
                payloads.extend(tail.events)
        fresh: dict[int, Any] = {}
        for payload in payloads:
            of = event_kind(payload)
            known = self._lines.get(id(payload))
            if kind is not None and of and of != kind:
                if known is not None:
                    fresh[id(payload)] = known
                continue
            if known is None:
                try:
                    known = (payload, decode_events(payload))
                except FormatError as error:
                    self._fault(str(error))
                    known = (payload, ())
            fresh[id(payload)] = known
            yield from (line for line in known[1] if kind is None or line[0] == kind)
        self._lines = fresh

    def close(self) -> None:
        """Release the files."""
        for segment in self.segments.values():
            segment.close()


def _number(header: dict[str, Any], name: str) -> int:
    value = header.get(name, 0)
    return value if isinstance(value, int) and 0 <= value < 1 << 15 else 0
