"""The part of a run that still lies in live logs: parsed as it grows, sorted by group when first asked
for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unbug.store.access import Where, read_from
from unbug.store.frames import LOG_MAGIC, MAX_PAYLOAD, FormatError, FrameKind, scan
from unbug.store.rows import Rows, decode_blobs, decode_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LogTail", "Part", "Sorted"]


class Part(NamedTuple):
    """Some rows of one series. Every array is `(rows,)`; `values` is None where only the keys were asked
    for."""

    training: NDArray[np.int32]
    step: NDArray[np.int64]
    micro: NDArray[np.int32]
    phase: NDArray[np.uint8]
    t_ns: NDArray[np.int64]
    user_step: NDArray[np.float64]
    values: NDArray[np.float64]


class LogTail:
    """One live log, as far as it was read."""

    def __init__(self, path: Where) -> None:
        self.path, self.offset = path, 0
        self.rows: dict[int, list[Rows]] = {}
        self.blobs: list[Rows] = []
        self.events: list[bytes | memoryview] = []
        self.faults: list[str] = []
        self.trailing = 0

    def refresh(self) -> bool:
        """Take in what was appended; true if there was anything.

        Raises:
            OSError: the file is gone, or cannot be read.
        """
        data = read_from(self.path, self.offset)
        position = 0
        if self.offset == 0:
            if data[: len(LOG_MAGIC)] != LOG_MAGIC[: len(data)]:
                self._fault("it is no log of unbug")
                return False
            if len(data) < len(LOG_MAGIC):
                return False
            position = len(LOG_MAGIC)
        end = position
        for end, kind, payload in scan(data, position):  # noqa: B007 - where it stopped
            self._take(kind, payload)
        self.offset += end
        self.trailing = len(data) - end
        return end > position

    def _take(self, kind: int, payload: bytes | memoryview) -> None:
        try:
            if kind == FrameKind.ROWS:
                width, rows = decode_rows(payload)
                self.rows.setdefault(width, []).append(rows)
            elif kind == FrameKind.BLOBS:
                self.blobs.append(decode_blobs(payload))
            elif kind == FrameKind.EVENTS:
                self.events.append(payload)
        except FormatError as error:
            self._fault(str(error))

    def _fault(self, text: str) -> None:
        if text not in self.faults and len(self.faults) < 10:
            self.faults.append(text)

    def too_long(self) -> bool:
        """Whether what remains can never become a whole frame."""
        return self.trailing > MAX_PAYLOAD + 12


class Sorted:
    """Rows of one width, ordered by group and else as they came, so that a group is a slice."""

    def __init__(self, parts: list[Rows]) -> None:
        rows = Rows.concatenate(parts)
        groups = rows.keys["group"]
        if len(groups) > 1 and (groups[1:] < groups[:-1]).any():
            rows = rows.take(np.argsort(groups, kind="stable"))
            groups = rows.keys["group"]
        self.rows = rows
        self.groups, self.starts = np.unique(groups, return_index=True)
        self._ends = np.append(self.starts[1:], len(groups))
        self._where = dict(zip(self.groups.tolist(), range(len(self.groups)), strict=True))

    def slice(self, group: int) -> slice:
        """Where the group's rows are; empty if there are none."""
        at = self._where.get(group)
        return slice(0, 0) if at is None else slice(int(self.starts[at]), int(self._ends[at]))

    def part(self, group: int, column: int) -> Part:
        """The rows of a group, with the values of one column."""
        where = self.slice(group)
        keys, values = self.rows.keys[where], self.rows.values
        return Part(
            keys["training"],
            keys["step"],
            keys["micro"],
            keys["phase"],
            keys["t_ns"],
            self.rows.user_step[where],
            np.empty(0) if values is None else values[where, column],
        )
