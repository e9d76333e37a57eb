"""A file that is only appended to, on a disk that may fill up, turn read-only or go away.

Nothing here raises for the state of the disk: what could not be written is kept, in order, and tried again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Outlet"]

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT
for _flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"):  # each where there is one
    _FLAGS |= getattr(os, _flag, 0)


class Outlet:
    """One file. `size` counts the bytes that are in it, `backlog` those that are not yet.

    A file that was partly written goes on where it stopped, so that frames stay whole.
    """

    def __init__(self, path: Path, magic: bytes) -> None:
        self.path, self.size = path, 0
        self._fd: int | None = None
        self._pending = bytearray(magic)

    @property
    def backlog(self) -> int:
        """Bytes that wait."""
        return len(self._pending)

    def put(self, data: bytes) -> None:
        """Append to what waits."""
        self._pending += data

    def drain(self) -> OSError | None:
        """Write what waits; returns why not all could be written, or None."""
        if not self._pending:
            return None
        try:
            if self._fd is None:
                self._fd = os.open(self.path, _FLAGS, 0o600)
            if os.fstat(self._fd).st_nlink == 0:
                raise FileNotFoundError(2, "the run's folder was deleted", str(self.path))
            while self._pending:
                written = os.write(self._fd, self._pending)
                del self._pending[:written]
                self.size += written
        except OSError as error:
            return error
        return None

    def close(self) -> None:
        """Release the handle; what waits stays."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with suppress(OSError):  # A network file system may say now what went wrong earlier.
                os.close(fd)
