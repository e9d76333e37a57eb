"""An open file, or a stretch of one, that is read at any offset by several threads at once."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

__all__ = ["Handle", "open_plain"]

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Handle:
    """Bytes `base` to `base + size` of an open file.

    Args:
        owned: Whether `close` closes the file.
    """

    def __init__(self, fd: int, *, base: int = 0, size: int | None = None, owned: bool = True) -> None:
        self._fd: int | None = fd
        self._base, self._size, self._owned = base, size, owned
        self._lock = None if hasattr(os, "pread") else threading.Lock()

    @property
    def size(self) -> int:
        """Bytes there are; of a whole file, as it is now."""
        if self._size is not None:
            return self._size
        return 0 if self._fd is None else os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end, none once it was closed.

        Raises:
            OSError: the disk does not give them.
        """
        fd = self._fd
        if self._size is not None:
            length = min(length, self._size - offset)
        if fd is None or length <= 0 or offset < 0:
            return b""
        if self._lock is None:
            return os.pread(fd, length, self._base + offset)
        with self._lock:  # Windows has no pread
            os.lseek(fd, self._base + offset, os.SEEK_SET)
            return os.read(fd, length)

    def read_all(self, offset: int = 0, *, limit: int) -> bytes:
        """All bytes from `offset`, at most `limit`."""
        left, parts = min(self.size - offset, limit), []
        while left > 0:
            part = self.read(offset, left)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def part(self, base: int, size: int) -> Handle:
        """A stretch of it, which ends to be readable with this one.

        Raises:
            OSError: it was closed.
        """
        if self._fd is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return Handle(self._fd, base=self._base + base, size=size, owned=False)

    def close(self) -> None:
        """Release the file. Idempotent."""
        fd, self._fd = self._fd, None
        if fd is not None and self._owned:
            os.close(fd)


def open_plain(path: Path) -> Handle:
    """Open a file of the disk.

    Raises:
        OSError: it cannot be opened.
    """
    return Handle(os.open(path, _FLAGS))
