"""A segment as a file: blocks in frames, then a footer that finds every row without reading one."""

from __future__ import annotations

import zlib
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.access import Where, open_file, read_from
from unbug.store.blocks import COUNTS, INDEX, PIECE, check_index, pieces_in
from unbug.store.frames import MAX_PAYLOAD, SEGMENT_MAGIC, FormatError, FrameKind, inflate, scan
from unbug.store.levels import SHARED, STATISTICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOOTER_HEAD", "TRAILER", "TRAILER_MAGIC", "SegmentFile"]

TRAILER = Struct("<QI8s")
TRAILER_MAGIC = b"unbugE1\n"
FOOTER_HEAD = Struct("<IIQQI")
"""Blocks, counts, rows left out by thinning, bytes of the top level, its checksum."""
_MAX_INDEX = 1 << 27
_MAX_SEGMENT = 1 << 34


class SegmentFile:
    """Where things are in one segment. Without its footer, which a crash may have taken, `index` is what a
    scan of the file finds, and `counts` is empty.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Where) -> None:
        self.path = path
        self.faults: list[str] = []
        self.dropped = 0
        self.index = np.zeros(0, INDEX)
        self.counts = np.zeros(0, COUNTS)
        self.has_footer = False
        self._tables: dict[int, NDArray[Any]] = {}
        self._top: bytes | None = None
        self._top_at, self._top_size, self._top_checksum = 0, 0, 0
        self._handle = open_file(path)
        self.size = self._handle.size
        try:
            if self._read(0, len(SEGMENT_MAGIC)) != SEGMENT_MAGIC:
                raise FormatError("it is no segment of unbug")
            try:
                self._read_footer()
                self.has_footer = True
            except FormatError as error:
                self.fault(f"{error}; {self._scan_blocks()} blocks were found in it")
        except FormatError as error:
            self.fault(str(error))
        self._level_bytes = np.where(
            self.index["levels"][:, 0] > 0,
            self.index["levels"][:, -1].astype(np.int64)
            * 8
            * (len(SHARED) + len(STATISTICS) * self.index["width"].astype(np.int64)),
            0,
        )
        self._level_starts = np.cumsum(self._level_bytes) - self._level_bytes

    def close(self) -> None:
        """Release the file."""
        self._handle.close()

    def fault(self, text: str) -> None:
        """Say once what is wrong with it."""
        if text not in self.faults and len(self.faults) < 5:
            self.faults.append(text)

    def _read(self, offset: int, length: int) -> bytes:
        data = self._handle.read(offset, length)
        if len(data) != length:
            raise FormatError("it is cut, or was closed")
        return data

    def _read_footer(self) -> None:
        if self.size < len(SEGMENT_MAGIC) + TRAILER.size:
            raise FormatError("it is cut")
        offset, length, magic = TRAILER.unpack(self._read(self.size - TRAILER.size, TRAILER.size))
        if magic != TRAILER_MAGIC or length > MAX_PAYLOAD or offset + length > self.size:
            raise FormatError("it has no footer")
        if length < FOOTER_HEAD.size + 4:
            raise FormatError("its footer is cut")
        footer = self._read(offset, length)
        if zlib.crc32(footer[:-4]) != int.from_bytes(footer[-4:], "little"):
            raise FormatError("its footer is damaged")
        blocks, counts, dropped, top, checksum = FOOTER_HEAD.unpack_from(footer)
        size = blocks * INDEX.itemsize + counts * COUNTS.itemsize
        if size > _MAX_INDEX or top > offset:
            raise FormatError("its footer promises too much")
        tables = inflate(footer[FOOTER_HEAD.size : -4], size)
        index = np.frombuffer(tables, INDEX, blocks)
        check_index(index, self.size)
        self.index = index
        self.counts = np.frombuffer(tables, COUNTS, counts, blocks * INDEX.itemsize)
        self.dropped = dropped
        self._top_at, self._top_size, self._top_checksum = offset - top, top, checksum

    def _scan_blocks(self) -> int:
        """Find blocks by reading them all; the last one may be lost."""
        data = read_from(self.path, 0, limit=_MAX_SEGMENT)
        found = []
        for end, kind, payload in scan(data, len(SEGMENT_MAGIC)):
            if kind != FrameKind.BLOCK or len(payload) < INDEX.itemsize:
                continue
            record = np.frombuffer(payload, INDEX, 1).copy()
            record["offset"], record["length"] = end - len(payload), len(payload)
            try:
                check_index(record, self.size)
            except FormatError:
                continue
            found.append(record)
        self.index = np.concatenate(found) if found else self.index
        return len(self.index)

    def piece(self, block: int, number: int) -> bytes:
        """A piece of a block.

        Raises:
            FormatError: it is damaged.
        """
        record = self.index[block]
        table = self._tables.get(block)
        offset = int(record["offset"])
        if table is None:
            pieces = pieces_in(record)
            table = np.frombuffer(self._read(offset + INDEX.itemsize, pieces * PIECE.itemsize), PIECE)
            if len(self._tables) > 4096:
                self._tables.clear()
            self._tables[block] = table
        at, length, checksum = table[number].item()
        if at + length > record["length"]:
            raise FormatError("a piece lies outside its block")
        data = self._read(offset + at, length)
        if zlib.crc32(data) != checksum:
            raise FormatError("a piece is damaged")
        return data

    def is_whole(self) -> bool:
        """Whether the checksum of every block holds. Reads all of the file."""
        data = read_from(self.path, 0, limit=_MAX_SEGMENT)
        return sum(1 for _ in scan(data, len(SEGMENT_MAGIC))) == len(self.index)

    def payload(self, block: int) -> bytes:
        """A block as it is stored.

        Raises:
            FormatError: it is cut.
        """
        return self._read(int(self.index[block]["offset"]), int(self.index[block]["length"]))

    def top(self, block: int, column: int, buckets: int) -> tuple[bytes, bytes] | None:
        """Shared column and values of the top level of a series, which lies apart; None if it does not.

        Raises:
            FormatError: it is damaged; the one in the block itself may be whole.
        """
        if not self._top_size:
            return None
        if self._top is None:
            top = self._read(self._top_at, self._top_size)
            if zlib.crc32(top) != self._top_checksum or self._level_bytes.sum() != len(top):
                self._top_size = 0
                raise FormatError("its top level is damaged")
            self._top = top
        start = int(self._level_starts[block])
        behind = start + 8 * len(SHARED) * buckets
        mine = behind + 8 * len(STATISTICS) * buckets * column
        return self._top[start:behind], self._top[mine : mine + 8 * len(STATISTICS) * buckets]
