"""The writing end of a run: a queue that the training fills and one background thread empties."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.store.contract import GroupKind
from unbug.store.definitions import Encoder
from unbug.store.folders import WRITERS
from unbug.store.livefiles import ROLL_BYTES, ROLL_FLUSHES, LiveFiles
from unbug.store.manifest import write_status
from unbug.store.shedding import Losses, shed
from unbug.types import Phase, Series, Status, Training

if TYPE_CHECKING:
    from unbug.store.merge import Merger
    from unbug.store.rows import Queued

__all__ = ["RunWriter"]

MAX_QUEUED = 200_000
"""Rows in the queue beyond which the newest is dropped and counted: the background thread has stopped
then."""
MAX_WAITING = 60_000
"""Rows kept while the disk takes nothing."""
MAX_TAKEN = 20_000
"""Rows encoded at a time: the most that waits as bytes while the disk takes nothing."""
MAX_WIDTH = 65_535
_alive: weakref.WeakSet[RunWriter] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_alive):
        writer._disown()


if hasattr(os, "register_at_fork"):  # Windows has neither.
    os.register_at_fork(after_in_child=_after_fork)


class RunWriter:
    """Appends for one process; see `contract.Writer`."""

    def __init__(
        self,
        path: Path,
        writer_id: str,
        header: Mapping[str, Any],
        *,
        first: bool,
        started_ns: int | None = None,
        disk_bytes: int,
        clock_ns: Callable[[], int],
        roll_bytes: int = ROLL_BYTES,
        roll_flushes: int = ROLL_FLUSHES,
    ) -> None:
        self.path, self.folder = path, path / WRITERS / writer_id
        self._clock_ns, self.first, self._disk_bytes = clock_ns, first, disk_bytes
        self.attempt, self._started_ns = int(header.get("attempt", 0)), started_ns
        self._queue: list[Queued] = []
        self._feeds: list[Callable[[], None]] = []
        self._events: list[tuple[Any, ...]] = []
        self._trainings: dict[int, tuple[Training, int]] = {}
        self._new: list[Mapping[str, Any]] = [{"writer": dict(header)}]
        self._encoder, self._widths, self._kinds = Encoder(), list[int](), list[GroupKind]()
        self._defining, self._flushing = threading.Lock(), threading.Lock()
        self._tending = threading.Lock()
        self._losses = Losses()
        self._overflow = 0
        self._files = LiveFiles(
            self.folder,
            clock_ns=clock_ns,
            failed=self._losses.disk,
            roll_bytes=roll_bytes,
            roll_flushes=roll_flushes,
        )
        self._merger: Merger | None = None
        self._closed = False
        _alive.add(self)

    # Called from any thread, in the training step.
    def group(self, series: Sequence[Series], *, kind: GroupKind = "scalar") -> int:
        """Declare series that are always written together; returns the group's number. Idempotent."""
        key = tuple(series)
        if not key:
            raise ValueError("a group has at least one series")
        if kind == "blob" and len(key) != 1:
            raise ValueError("a group of blobs has one series")
        if len(key) > MAX_WIDTH:
            raise ValueError(f"a group has at most {MAX_WIDTH} series, not {len(key)}; make several")
        with self._defining:
            known = self._encoder.known(key, kind)
            if known is not None:
                return known
            number, message = self._encoder.add(key, kind)
            self._widths.append(0 if kind == "blob" else len(key))
            self._kinds.append(kind)
            self._new.append(message)
            return number

    def row(
        self,
        group: int,
        values: Sequence[float] | bytes,
        *,
        t_ns: int,
        training: int = -1,
        step: int = -1,
        micro: int = 0,
        phase: int = 2,
        user_step: float | None = None,
    ) -> None:
        """Queue one row; see `contract.Writer.row`."""
        queue = self._queue
        if len(queue) < MAX_QUEUED:
            queue.append((group, step, t_ns, training, micro, phase, user_step, values))
        else:
            self._overflow += 1

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
        """Queue one event; see `contract.Writer.event`."""
        if len(self._events) < MAX_QUEUED:
            self._events.append((kind, t_ns, training, step, micro, phase, fields))
        else:
            self._losses.events += 1

    def training(self, training: Training) -> None:
        """State or update what is known of a training; the last statement before a flush is written."""
        self._trainings[training.number] = (training, self._clock_ns())

    def before_flush(self, feed: Callable[[], None]) -> None:
        """Call `feed` before each flush; see `contract.Writer.before_flush`."""
        self._feeds.append(feed)

    # Called by the one background thread, and once more by `close`.
    def flush(self) -> int:
        """Write all that is queued with one system call; returns the bytes written."""
        for feed in list(self._feeds):
            try:
                feed()
            except Exception:
                self._feeds.remove(feed)
                raise
        with self._flushing:
            return self._flush(patient=True)

    def _flush(self, *, patient: bool) -> int:
        if self._closed:
            return 0
        before = self._files.size
        free = not (patient and self._files.backing_off) and self._files.drain()
        while free and self._take():
            free = not self._files.blocked
        if not free:
            shed(self._queue, self._events, self._kinds, self._losses, rows=MAX_WAITING)
        written = self._files.size - before
        self._files.roll()
        return written

    def _take(self) -> int:
        """Take a batch off the queue and hand it to the disk, behind the definitions that it needs.

        Returns:
            Bytes encoded; 0 if nothing was queued.
        """
        batch = self._queue[:MAX_TAKEN]
        del self._queue[: len(batch)]
        events = self._events[:MAX_TAKEN]
        del self._events[: len(events)]
        trainings, self._trainings = self._trainings, {}
        if not (batch or events or trainings):
            return 0
        from unbug.store.encoding import encode_batch

        with self._defining:
            new, self._new = self._new, []
        frames = [
            self._encoder.frame(new[start : start + MAX_TAKEN]) for start in range(0, len(new), MAX_TAKEN)
        ]
        data, malformed = encode_batch(batch, events, list(trainings.values()), self._widths)
        self._losses.malformed += malformed
        self._files.put(frames, data)
        self._files.drain()
        return len(data)

    def maintain(self, *, budget_s: float = 0.05) -> None:
        """Turn rolled logs into segments, merge these, thin detail: as much as fits in about `budget_s`."""
        if self._closed or self._files.number == 0 or not self._tending.acquire(blocking=False):
            return
        try:
            self._maintain(budget_s)
        finally:
            self._tending.release()

    def _maintain(self, budget_s: float) -> None:
        if self._merger is None:
            from unbug.store.merge import Merger

            self._merger = Merger(self.folder, detail_bytes=self._disk_bytes // 5)
        if self._files.all_defined:
            self._merger.work(budget_s=budget_s, below=self._files.number)

    def status(self, status: Status) -> None:
        """Replace the run's status file atomically (the first writer only)."""
        if self.first and not self._closed:
            try:
                write_status(self.path, replace(status, attempt=self.attempt, started_ns=self._started_ns))
            except OSError as error:
                self._losses.disk(error)

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept, in words."""
        self._losses.rows_full += self._overflow
        self._overflow = 0
        waiting = self._files.waiting > 0 and not self._closed
        return (*self._losses.in_words(waiting=waiting), *(self._merger.in_words() if self._merger else ()))

    def close(self, *, deadline_s: float = 1.0) -> None:
        """Flush and release every handle within the deadline. Idempotent."""
        if not self._flushing.acquire(timeout=deadline_s):
            return  # The background thread hangs in the disk: whatever it holds cannot be taken from it.
        try:
            if not self._closed:
                self._flush(patient=False)
                self._losses.rows_left += len(self._queue)
                self._closed = True
                self._files.close()
                self._losses.bytes_left = self._files.waiting
                if self._tending.acquire(timeout=deadline_s):
                    try:
                        if self._merger is not None:
                            self._merger.close()
                    finally:
                        self._tending.release()
        finally:
            self._flushing.release()

    def _disown(self) -> None:
        """In a forked child: the files are the parent's."""
        self._closed = True
        self._flushing, self._defining, self._tending = (threading.Lock() for _ in range(3))
        self._queue.clear()
        self._events.clear()
        self._files.close()
        self._merger = None
