"""Writes a segment under a temporary name and gives it its own when it is whole."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.blocks import COUNTS, INDEX, counts_of, encode_block
from unbug.store.frames import SEGMENT_MAGIC, FrameKind, frame
from unbug.store.manifest import replace_patiently
from unbug.store.segment_file import FOOTER_HEAD, TRAILER, TRAILER_MAGIC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.rows import Rows

__all__ = ["SegmentWriter", "TemporaryFile"]

_FRAME_HEADER = 12


class TemporaryFile:
    """A file that appears under its name when it is whole, or never."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        )
        self._fd: int | None = os.open(self._temporary, flags, 0o600)
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        view = memoryview(data)
        while view and self._fd is not None:
            written = os.write(self._fd, view)
            self.size += written
            view = view[written:]

    def finish(self) -> None:
        """Bring it to the disk, then rename it."""
        if self._fd is not None:
            os.fsync(self._fd)
            fd, self._fd = self._fd, None
            os.close(fd)
            replace_patiently(self._temporary, self.path)

    def abandon(self) -> None:
        """Leave nothing behind; does nothing after `finish`."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            try:
                os.close(fd)
                self._temporary.unlink(missing_ok=True)
            except OSError:  # The disk that failed us may fail here too; `unbug gc` takes it away.
                pass


class SegmentWriter:
    """One segment in the making."""

    def __init__(self, path: Path) -> None:
        self._file = TemporaryFile(path)
        self._index: list[NDArray[Any]] = []
        self._counts: list[NDArray[Any]] = []
        self._top: list[bytes] = []
        self.dropped = 0
        self._file.write(SEGMENT_MAGIC)

    def add(self, rows: Rows) -> None:
        """Append a block of rows that are ordered by group, training and phase."""
        payload, record, top = encode_block(rows)
        self.copy(payload, record, top, counts_of(rows, int(record["width"][0])))

    def copy(self, payload: bytes, record: NDArray[Any], top: Iterable[bytes], counts: NDArray[Any]) -> None:
        """Append a block as it was stored elsewhere."""
        record = record.copy()
        record["offset"] = self._file.size + _FRAME_HEADER
        self._file.write(frame(FrameKind.BLOCK, payload))
        self._index.append(record)
        self._counts.append(counts)
        self._top.extend(top)

    def finish(self) -> None:
        """Write the footer and make the segment visible."""
        top = b"".join(self._top)
        offset = self._file.size + len(top)
        index = np.concatenate(self._index) if self._index else np.zeros(0, INDEX)
        counts = _summed(np.concatenate(self._counts)) if self._counts else np.zeros(0, COUNTS)
        head = FOOTER_HEAD.pack(len(index), len(counts), self.dropped, len(top), zlib.crc32(top))
        footer = head + zlib.compress(index.tobytes() + counts.tobytes(), 1)
        footer += zlib.crc32(footer).to_bytes(4, "little")
        self._file.write(top + footer + TRAILER.pack(offset, len(footer), TRAILER_MAGIC))
        self._file.finish()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.abandon()


def _summed(counts: NDArray[Any]) -> NDArray[Any]:
    """One entry for each width, group, training and phase."""
    names = ("width", "group", "training", "phase")
    counts = counts[np.lexsort([counts[name] for name in names[::-1]])]
    change = np.zeros(len(counts), np.bool_)
    change[0] = True
    for name in names:
        change[1:] |= counts[name][1:] != counts[name][:-1]
    starts = np.flatnonzero(change)
    out = counts[starts]
    for name in ("rows", "bytes"):
        out[name] = np.add.reduceat(counts[name], starts)
    out["step_min"] = np.minimum.reduceat(counts["step_min"], starts)
    out["step_max"] = np.maximum.reduceat(counts["step_max"], starts)
    return out
