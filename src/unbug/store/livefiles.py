"""The two files that a writer appends to: its definitions and its present log. What the disk does not take
waits, in order, and is tried again after a pause."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from unbug.store.frames import LOG_MAGIC
from unbug.store.layout import DEFINITIONS, log_name
from unbug.store.outlet import Outlet

__all__ = ["MAX_WAIT_NS", "ROLL_BYTES", "ROLL_FLUSHES", "LiveFiles"]

ROLL_BYTES, ROLL_FLUSHES = 4 << 20, 2048
"""A live log is closed at either. Its size bounds what a reader has to parse."""
MAX_WAIT_NS = 30_000_000_000
"""Longest pause between two tries at a disk that takes nothing."""


class LiveFiles:
    """Appends to the folder of one writer, which is made with the first byte.

    Args:
        failed: Told of each failure of the disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock_ns: Callable[[], int],
        failed: Callable[[OSError], None],
        roll_bytes: int,
        roll_flushes: int,
    ) -> None:
        self._folder, self._clock_ns, self._failed = folder, clock_ns, failed
        self._roll_bytes, self._roll_flushes = roll_bytes, roll_flushes
        self.number = 0
        """Of the present log: those below it are closed."""
        self._flushes, self._failures = 0, 0
        self._retry_at: int | None = None
        self._definitions = Outlet(folder / DEFINITIONS, LOG_MAGIC)
        self._log = Outlet(folder / log_name(0), LOG_MAGIC)

    @property
    def size(self) -> int:
        """Bytes in the present log."""
        return self._log.size

    @property
    def waiting(self) -> int:
        """Bytes of rows and events that the disk has not taken."""
        return self._log.backlog if self._log.backlog > len(LOG_MAGIC) else 0

    @property
    def all_defined(self) -> bool:
        """Whether no definition waits: rows without one would be sorted out as nobody's."""
        return self._definitions.backlog == 0

    @property
    def blocked(self) -> bool:
        """Whether the disk took nothing when last tried."""
        return self._retry_at is not None

    @property
    def backing_off(self) -> bool:
        """Whether a failure is too recent to try again; a clock that was set back does not prolong that."""
        return self._retry_at is not None and 0 < self._retry_at - self._clock_ns() <= MAX_WAIT_NS

    def put(self, definitions: Iterable[bytes], data: bytes) -> None:
        """Append what one flush writes."""
        for piece in definitions:
            self._definitions.put(piece)
        self._log.put(data)
        self._flushes += 1

    def drain(self) -> bool:
        """Write what waits: definitions before the rows that need them. False if the disk takes nothing."""
        for outlet in (self._definitions, self._log):
            if outlet.backlog > len(LOG_MAGIC):
                error = self._make_folder() or outlet.drain()
                if error is not None:
                    self._failures += 1
                    self._failed(error)
                    pause = min(2 ** min(self._failures, 10) * 500_000_000, MAX_WAIT_NS)
                    self._retry_at = self._clock_ns() + pause
                    return False
        self._failures, self._retry_at = 0, None
        return True

    def _make_folder(self) -> OSError | None:
        if self._definitions.size:  # It was there: a folder that somebody deleted is not made again.
            return None
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as error:
            return error
        return None

    def roll(self) -> None:
        """Close the log and begin the next, if it is due and nothing waits."""
        due = self._log.size > self._roll_bytes or self._flushes >= self._roll_flushes
        if due and not self._log.backlog:
            self._log.close()
            self.number += 1
            self._flushes = 0
            self._log = Outlet(self._folder / log_name(self.number), LOG_MAGIC)

    def close(self) -> None:
        """Release both handles; what waits stays."""
        self._log.close()
        self._definitions.close()
