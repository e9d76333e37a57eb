"""The writing end of a run: a queue that the training fills and one background thread empties."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.store.contract import GroupKind
from unbug.store.definitions import Encoder
from unbug.store.eventlog import encode_events, event_line
from unbug.store.folders import WRITERS
from unbug.store.frames import LOG_MAGIC, FrameKind, frame
from unbug.store.identity import process_identity
from unbug.store.layout import DEFINITIONS, log_name
from unbug.store.manifest import read_manifest, write_status
from unbug.store.outlet import Outlet
from unbug.store.shedding import Losses, shed
from unbug.types import Phase, Series, Status, Training

if TYPE_CHECKING:
    from unbug.store.merge import Merger
    from unbug.store.rows import Queued

__all__ = ["RunWriter", "open_writer"]

MAX_QUEUED = 200_000
"""Rows in the queue beyond which the newest is dropped and counted: the background thread has stopped then."""
MAX_WAITING = 60_000
"""Rows kept while the disk takes nothing."""
MAX_BACKLOG = 16 << 20
"""Encoded bytes kept while the disk takes nothing; beyond it rows stay in the queue."""
ROLL_BYTES, ROLL_FLUSHES = 4 << 20, 2048
"""A live log is closed at either. Its size bounds what a reader has to parse."""
MAX_TAKEN = 20_000
"""Rows encoded at a time, so that no frame is large."""

_alive: weakref.WeakSet[RunWriter] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_alive):
        writer._disown()


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
        disk_bytes: int,
        clock_ns: Callable[[], int],
        roll_bytes: int = ROLL_BYTES,
        roll_flushes: int = ROLL_FLUSHES,
    ) -> None:
        self.path, self.folder = path, path / WRITERS / writer_id
        self._clock_ns, self._first, self._disk_bytes = clock_ns, first, disk_bytes
        self._roll_bytes, self._roll_flushes = roll_bytes, roll_flushes
        self._queue: list[Queued] = []
        self._events: list[tuple[Any, ...]] = []
        self._trainings: dict[int, tuple[Training, int]] = {}
        self._new: list[Mapping[str, Any]] = [{"writer": dict(header)}]
        self._encoder, self._widths, self._kinds = Encoder(), list[int](), list[GroupKind]()
        self._defining, self._flushing = threading.Lock(), threading.Lock()
        self._losses = Losses()
        self._overflow = 0
        self._number, self._flushes = 0, 0
        self._definitions = Outlet(self.folder / DEFINITIONS, LOG_MAGIC)
        self._log = Outlet(self.folder / log_name(0), LOG_MAGIC)
        self._failures, self._retry_at = 0, 0
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

    # Called by the one background thread, and once more by `close`.
    def flush(self) -> int:
        """Write all that is queued with one system call; returns the bytes written."""
        with self._flushing:
            return self._flush(patient=True)

    def _flush(self, *, patient: bool) -> int:
        if self._closed:
            return 0
        before = self._log.size
        while True:
            if self._blocked(patient=patient):
                shed(self._queue, self._events, self._kinds, self._losses, rows=MAX_WAITING)
                break
            data = self._take()
            if not data:
                break
            self._outcome(self._log.write(data))
            self._flushes += 1
        written = self._log.size - before
        if self._log.size > self._roll_bytes or self._flushes >= self._roll_flushes:
            self._roll()
        return written

    def _blocked(self, *, patient: bool) -> bool:
        """Whether the disk takes nothing now. Also writes what waits since it last took nothing."""
        if patient and self._clock_ns() < self._retry_at:
            return True
        if not self._definitions.size and not self.folder.is_dir():
            try:
                self.folder.mkdir(mode=0o700)
            except FileExistsError:
                pass
            except OSError as error:
                self._outcome(error)
                return True
        if self._log.backlog > len(LOG_MAGIC):
            self._outcome(self._log.drain())
        return self._log.backlog > len(LOG_MAGIC)

    def _outcome(self, error: OSError | None) -> None:
        if error is None:
            self._failures, self._retry_at = 0, 0
            return
        self._failures += 1
        self._losses.disk(error)
        wait_s = min(0.5 * 2 ** min(self._failures, 6), 30.0)
        self._retry_at = self._clock_ns() + int(wait_s * 1e9)

    def _take(self) -> bytes:
        """Take a batch off the queue and encode it; definitions that it needs are written before."""
        from unbug.store.rows import encode_blobs, encode_rows

        batch = self._queue[:MAX_TAKEN]
        del self._queue[: len(batch)]
        events = self._events[:MAX_TAKEN]
        del self._events[: len(events)]
        trainings, self._trainings = self._trainings, {}
        with self._defining:
            new, self._new = self._new, []
        if new:
            self._outcome(self._definitions.write(self._encoder.frame(new)))
        elif self._definitions.backlog:
            self._outcome(self._definitions.drain())

        by_width: dict[int, list[Queued]] = {}
        widths, known = self._widths, len(self._widths)
        for row in batch:
            group = row[0]
            width = widths[group] if 0 <= group < known else -1
            if width in by_width:
                by_width[width].append(row)
            else:
                by_width[width] = [row]
        self._losses.malformed += len(by_width.pop(-1, ()))
        parts = []
        for width, rows in by_width.items():
            data, bad = encode_rows(rows, width) if width else encode_blobs(rows)
            self._losses.malformed += bad
            parts.append(data)
        lines = [self._line(event) for event in events]
        for training, t_ns in trainings.values():
            lines.append(event_line("training", t_ns, training.number, training.steps, 0, 2, asdict(training)))
        lines = [line for line in lines if line]
        if lines:
            parts.append(encode_events(lines))
        return b"".join(parts)

    def _line(self, event: tuple[Any, ...]) -> str:
        try:
            return event_line(*event)
        except Exception:  # Fields of any type come here, with any `__str__`.
            self._losses.malformed += 1
            return ""

    def _roll(self) -> None:
        if self._log.backlog:
            return
        self._log.close()
        self._number += 1
        self._flushes = 0
        self._log = Outlet(self.folder / log_name(self._number), LOG_MAGIC)

    def maintain(self, *, budget_s: float = 0.05) -> None:
        """Turn rolled logs into segments, merge these, thin detail: as much as fits in about `budget_s`."""
        if self._closed or self._number == 0:
            return
        if self._merger is None:
            from unbug.store.merge import Merger

            self._merger = Merger(self.folder, detail_bytes=self._disk_bytes // 5)
        self._merger.work(budget_s=budget_s, below=self._number)

    def status(self, status: Status) -> None:
        """Replace the run's status file atomically (the first writer only)."""
        if self._first and not self._closed:
            try:
                write_status(self.path, status)
            except OSError as error:
                self._losses.disk(error)

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept, in words."""
        self._losses.rows_full += self._overflow
        self._overflow = 0
        waiting = self._log.backlog > len(LOG_MAGIC)
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
                self._log.close()
                self._definitions.close()
                if self._merger is not None:
                    self._merger.close()
        finally:
            self._flushing.release()

    def _disown(self) -> None:
        """In a forked child: the files are the parent's."""
        self._closed = True
        self._flushing, self._defining = threading.Lock(), threading.Lock()
        self._queue.clear()
        self._events.clear()
        self._log.close()
        self._definitions.close()
        self._merger = None


def open_writer(
    path: Path,
    *,
    rank: int = 0,
    attempt: int = 0,
    node: str = "",
    role: str = "",
    first: bool = True,
    disk_bytes: int = 200_000_000,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    wall_ns: Callable[[], int] = time.time_ns,
    entropy: Callable[[int], bytes] = os.urandom,
    roll_bytes: int = ROLL_BYTES,
    roll_flushes: int = ROLL_FLUSHES,
) -> RunWriter:
    """Open a run folder for writing by this process. Every call makes a writer of its own, with files of its own.

    Args:
        rank, attempt, node, role: Who this is among the run's processes.
        first: Whether this writer keeps the run's status file.
        disk_bytes: Disk budget of the run; a fifth of it is for detail, which is thinned beyond.
        roll_bytes, roll_flushes: When a live log is closed and may be turned into segments.
    Raises:
        NotARunError: there is no run.
    """
    read_manifest(path)
    who = process_identity()
    header = {
        "rank": rank,
        "attempt": attempt,
        "node": node,
        "role": role,
        "wall_ns": wall_ns(),
        "anchor_ns": clock_ns(),
        **who,
    }
    writer_id = f"r{rank:05d}-a{attempt:03d}-{who['pid']}-{entropy(4).hex()}"
    return RunWriter(
        path,
        writer_id,
        header,
        first=first,
        disk_bytes=disk_bytes,
        clock_ns=clock_ns,
        roll_bytes=roll_bytes,
        roll_flushes=roll_flushes,
    )
