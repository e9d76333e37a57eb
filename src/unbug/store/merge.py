"""Keeps the number of files small and the detail within its share of the disk, while the run lives and
afterwards.

Logs become segments, eight neighbouring segments of one size become one of the next, and where detail
outgrows its share, the largest segment of detail loses every second row: recent detail stays dense, old
detail thins out. All work is cut into small steps, so that the background thread of a training can stop after
any of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from unbug.store.access import read_from
from unbug.store.definitions import Definitions
from unbug.store.event_segment import EventSegment
from unbug.store.event_writer import lines_of, write_events
from unbug.store.frames import LOG_MAGIC, FormatError, FrameKind, scan
from unbug.store.layout import (
    CLASSES,
    DEFINITIONS,
    SegmentName,
    log_name,
    log_numbers,
    picked,
    segment_names,
    stable_listing,
)
from unbug.store.rows import Rows
from unbug.store.segment import Segment
from unbug.store.segment_writer import SegmentWriter
from unbug.store.tail import LogTail
from unbug.store.weave import weave_rows, weave_segments

__all__ = ["Merger"]

FAN_IN = 8
MAX_MERGED = 256 << 20
"""Segments that are this large together are left as they are."""
_BACK_OFF_S = 30.0
_DONE = object()


class Merger:
    """Tends one writer's folder. The folder's writer, or one that is sure that it is dead, may own one."""

    def __init__(
        self, folder: Path, *, detail_bytes: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.folder = folder
        self._detail_bytes, self._clock = detail_bytes, clock
        self._job: Iterator[None] | None = None
        self._not_before = 0.0
        self._failures: dict[str, int] = {}
        self._refused: set[SegmentName] = set()
        self._dense: set[SegmentName] = set()
        self._dropped = 0
        self._converted: set[int] = set()
        """Logs that are segments by now, and may be there still: see `discard`."""
        self._defined_to, self._definitions = 0, Definitions()

    def work(self, *, budget_s: float, below: int) -> bool:
        """Do as much as fits in about `budget_s`; logs from number `below` on are being written.

        Returns:
            Whether anything is left to do.
        """
        until = self._clock() + budget_s
        if self._clock() < self._not_before:
            return False
        try:
            while True:
                if self._job is None:
                    self._job = self._next(below)
                if self._job is None:
                    return False
                if next(self._job, _DONE) is _DONE:
                    self._job = None
                if self._clock() >= until:
                    return True
        except FileNotFoundError:  # Someone else merged it; look again next time.
            self.close()
            return True
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._failures[reason] = self._failures.get(reason, 0) + 1
            self._not_before = self._clock() + _BACK_OFF_S
            self.close()
            return False

    def close(self) -> None:
        """Give up the work in progress, leaving nothing behind."""
        job, self._job = self._job, None
        if job is not None and hasattr(job, "close"):
            job.close()

    def in_words(self) -> tuple[str, ...]:
        """What was thinned or could not be merged; empty if nothing."""
        said = [f"merging failed {count} times: {reason}" for reason, count in self._failures.items()]
        if self._dropped:
            said.append(
                f"{self._dropped} rows of old detail were thinned out to keep to {self._detail_bytes} bytes"
            )
        if self._refused:
            said.append(f"{len(self._refused)} damaged segments were left unmerged")
        return tuple(said)

    # What to do next.
    def _next(self, below: int) -> Iterator[None] | None:
        names = stable_listing(self.folder)
        logs = [number for number in log_numbers(names) if number < below]
        for number in self._converted.intersection(logs):
            discard(self.folder / log_name(number))
        logs = [number for number in logs if number not in self._converted]
        if logs:
            return self._convert(logs[0])
        kept, covered = picked(segment_names(names))
        for name in covered:
            discard(self.folder / str(name))
        for kind in CLASSES:
            run = self._run([name for name in kept if name.kind == kind])
            if run:
                return self._merge(run)
        return self._thin([name for name in kept if name.kind in "db"])

    def _run(self, names: list[SegmentName]) -> list[SegmentName]:
        """The first eight neighbours of one size, or of sizes that an equal number of logs filled."""
        streak: list[SegmentName] = []
        for name in names:
            tier = _tier(name)
            if name in self._refused or (streak and _tier(streak[-1]) != tier):
                streak = []
            if name not in self._refused:
                streak.append(name)
            if len(streak) == FAN_IN:
                if self._bytes(streak) <= MAX_MERGED:
                    return streak
                streak = streak[1:]
        return []

    def _bytes(self, names: list[SegmentName]) -> int:
        return sum(os.stat(self.folder / str(name)).st_size for name in names)  # noqa: PTH116 - hot with many

    def _thin(self, names: list[SegmentName]) -> Iterator[None] | None:
        names = [name for name in names if name not in self._refused]
        sizes = {name: self._bytes([name]) for name in names}
        if sum(sizes.values()) <= self._detail_bytes:
            return None
        for name in sorted(names, key=lambda one: (-sizes[one], one)):
            if name not in self._dense:
                return self._halve(name, sizes[name])
        for kind in "db":  # Every group is down to its ends in every segment: fewer segments have fewer ends.
            several = [name for name in names if name.kind == kind]
            if len(several) > 1:
                self._dense.difference_update(several)
                return self._merge(several)
        return None

    # The work itself.
    def _convert(self, number: int) -> Iterator[None]:
        """Turn a log into segments, then delete it."""
        path = self.folder / log_name(number)
        tail = LogTail(path)
        tail.refresh()
        self._define()
        kinds = np.frombuffer(self._definitions.classes or b"\0", np.uint8)
        yield
        for kind in "sdb":
            widths = {0: tail.blobs} if kind == "b" else tail.rows
            out: SegmentWriter | None = None
            try:
                for width in sorted(widths):
                    if not widths[width]:
                        continue
                    rows = Rows.concatenate(widths[width])
                    groups = rows.keys["group"]
                    mask = (groups < len(self._definitions)) & (
                        kinds[np.minimum(groups, len(kinds) - 1)] == ord(kind)
                    )
                    if mask.any():
                        out = out or SegmentWriter(self.folder / str(SegmentName(kind, number, number)))
                        yield from weave_rows(out, rows if mask.all() else rows.take(mask))
                if out is not None:
                    out.finish()
            finally:
                if out is not None:
                    out.abandon()
            yield
        lines = [line for payload in tail.events for line in lines_of(payload)]
        if lines:
            yield from write_events(self.folder / str(SegmentName("e", number, number)), lines)
        self._converted.add(number)
        discard(path)

    def _define(self) -> None:
        data = read_from(self.folder / DEFINITIONS, self._defined_to)
        start = end = 0 if self._defined_to else len(LOG_MAGIC)
        for end, kind, payload in scan(data, start):  # noqa: B007 - where it stopped
            if kind == FrameKind.DEFINITIONS:
                try:
                    self._definitions.take(payload)
                except FormatError:  # The reader says so; the rows of what follows are lost.
                    continue
        self._defined_to += end if end > start else 0

    def _merge(self, names: list[SegmentName]) -> Iterator[None]:
        """Make one segment of neighbours, then delete these."""
        whole = SegmentName(names[0].kind, names[0].low, names[-1].high, max(name.thinned for name in names))
        if whole.kind == "e":
            segments = [EventSegment(self.folder / str(name)) for name in names]
            damaged = {name for name, one in zip(names, segments, strict=True) if one.faults}
            self._refused |= damaged
            if damaged:
                return
            lines = [line for one in segments for payload in one.payloads for line in lines_of(payload)]
            yield from write_events(self.folder / str(whole), lines)
        else:
            yield from self._weave(names, whole, thin=False)
            if self._refused.intersection(names):
                return
        for name in names:
            discard(self.folder / str(name))

    def _halve(self, name: SegmentName, size: int) -> Iterator[None]:
        """Write a segment anew with every second row, then delete the old one."""
        new = SegmentName(name.kind, name.low, name.high, name.thinned + 1)
        yield from self._weave([name], new, thin=True)
        if name in self._refused:
            return
        if self._bytes([new]) > 0.9 * size:
            self._dense.add(new)
        discard(self.folder / str(name))

    def _weave(self, names: list[SegmentName], whole: SegmentName, *, thin: bool) -> Iterator[None]:
        segments: list[Segment] = []
        out = None
        try:
            for name in names:
                segments.append(Segment(self.folder / str(name), name.kind))
                if segments[-1].faults:
                    self._refused.add(name)
            if self._refused.intersection(names):
                return
            before = sum(segment.dropped for segment in segments)
            out = SegmentWriter(self.folder / str(whole))
            yield from weave_segments(out, segments, thin=thin)
            out.finish()
            self._dropped += out.dropped - before
        except FormatError:
            damaged = {name for name, one in zip(names, segments, strict=True) if not one.is_whole()}
            self._refused |= damaged or set(names)
        finally:
            if out is not None:
                out.abandon()
            for segment in segments:
                segment.close()


def discard(path: Path) -> None:
    """Delete a file that others have taken the place of. Windows refuses while a reader has it open: it is
    ignored until then."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name != "nt":
            raise


def _tier(name: SegmentName) -> int:
    """How many times eight a segment's logs are, rounded down."""
    width, tier = name.high - name.low + 1, 0
    while width >= FAN_IN:
        width //= FAN_IN
        tier += 1
    return tier
