"""One writer's folder: which of its files count, opened and taken in as they grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbug.store.access import Where, read_from
from unbug.store.cache import Cache
from unbug.store.definitions import Definitions
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
from unbug.store.tail import LogTail

if TYPE_CHECKING:
    from unbug.store.event_segment import EventSegment
    from unbug.store.segment import Segment

__all__ = ["WriterFiles"]

MAX_DEFINITIONS = 256 << 20
"""Bytes of definitions, inflated: a million tensors have 100 MB."""
_TRIES = 20


class WriterFiles:
    """Definitions, segments and live logs of one writer. `covered` names, for each log, the classes of rows
    that a segment holds by now."""

    def __init__(self, folder: Where, cache: Cache) -> None:
        self.folder, self._cache = folder, cache
        self.definitions = Definitions()
        self.segments: dict[SegmentName, Segment] = {}
        self.event_segments: dict[SegmentName, EventSegment] = {}
        self.logs: dict[int, LogTail] = {}
        self.covered: dict[int, frozenset[str]] = {}
        self._defined_to, self._defined_bytes = 0, 0
        self._faults: dict[str, None] = {}

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be read, in words."""
        logs = (f"{tail.path.name}: {text}" for tail in self.logs.values() for text in tail.faults)
        every: tuple[tuple[SegmentName, Segment | EventSegment], ...]
        every = (*self.segments.items(), *self.event_segments.items())
        return (*self._faults, *logs, *(f"{name}: {text}" for name, one in every for text in one.faults))

    def fault(self, text: str) -> None:
        """Say what could not be read."""
        if len(self._faults) < 20:
            self._faults[text] = None

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
                self.fault(f"{error.filename or self.folder.name}: {error.strerror}")
                break
        return changed

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
            self.fault(f"{DEFINITIONS}: it is no log of unbug")
            return False
        for end, kind, payload in scan(data, start):  # noqa: B007 - where it stopped
            if kind == FrameKind.DEFINITIONS:
                self._defined_bytes += len(payload)
                if self._defined_bytes > MAX_DEFINITIONS:
                    self.fault(f"{DEFINITIONS}: it defines more than a run has")
                    break
                try:
                    self.definitions.take(payload)
                except FormatError as error:
                    self.fault(f"{DEFINITIONS}: {error}")
        if end > start:
            self._defined_to += end
        return end > start

    def _refresh_segments(self, names: frozenset[str]) -> bool:
        wanted, _ = picked(segment_names(names))
        if not wanted and not self.segments and not self.event_segments:
            return False
        from unbug.store.event_segment import EventSegment
        from unbug.store.segment import Segment

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
                self.fault(f"{name}: {error.strerror}")
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
        changed |= logs.keys() != self.logs.keys() or covered != self.covered
        self.logs, self.covered = logs, covered
        return changed

    def close(self) -> None:
        """Release the files."""
        for segment in self.segments.values():
            segment.close()
