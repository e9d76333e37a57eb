"""Segments: what logs are turned into. Blocks in frames, then a footer that finds every row without reading
one.

A segment that lost its end is still read: its blocks are found one after the other, as in a log.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.blocks import (
    COUNTS,
    INDEX,
    KEYS,
    PIECE,
    check_index,
    counts_of,
    decode_blob_bytes,
    decode_column,
    decode_level,
    level_piece,
    pieces_in,
)
from unbug.store.cache import Cache
from unbug.store.frames import LOG_MAGIC, MAX_PAYLOAD, SEGMENT_MAGIC, FormatError, FrameKind, inflate, scan
from unbug.store.levels import LEVELS, SHARED, STATISTICS, Buckets
from unbug.store.rows import KEY, Rows
from unbug.store.tail import Part, read_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOOTER_HEAD", "TRAILER", "TRAILER_MAGIC", "EventSegment", "Segment"]

TRAILER = Struct("<QI8s")
TRAILER_MAGIC = b"unbugE1\n"
FOOTER_HEAD = Struct("<IIQQI")
"""Blocks, counts, rows left out by thinning, bytes of the top level, its checksum."""
_MAX_INDEX = 1 << 27
_MAX_SEGMENT = 1 << 34
_serials = itertools.count()


class Segment:
    """One file of blocks, open until `close`; so a reader may go on with it after it was merged away."""

    def __init__(self, path: Path, kind: str, cache: Cache | None = None) -> None:
        self.path, self.kind = path, kind
        self.cache = Cache(32 << 20) if cache is None else cache
        self._serial = next(_serials)
        self.faults: list[str] = []
        self.dropped = 0
        self.index = np.zeros(0, INDEX)
        self.counts = np.zeros(0, COUNTS)
        self._tables: dict[int, NDArray[Any]] = {}
        self._top: bytes | None = None
        self._top_at, self._top_size, self._top_checksum = 0, 0, 0
        self._fd: int | None = os.open(
            path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        )
        self.size = os.fstat(self._fd).st_size
        try:
            if self._read(0, len(SEGMENT_MAGIC)) != SEGMENT_MAGIC:
                raise FormatError("it is no segment of unbug")
            try:
                self._read_footer()
            except FormatError as error:
                self._recover(str(error))
        except FormatError as error:
            self._fault(str(error))
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
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _fault(self, text: str) -> None:
        if text not in self.faults and len(self.faults) < 5:
            self.faults.append(text)

    def _read(self, offset: int, length: int) -> bytes:
        if self._fd is None:
            raise FormatError("it was closed")
        data = os.pread(self._fd, length, offset)
        if len(data) != length:
            raise FormatError("it is cut")
        return data

    # Opening.
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

    def _recover(self, why: str) -> None:
        """Find blocks by reading them all; the last one may be lost."""
        self._fault(f"{why}; {self._scan_blocks()} blocks were found in it")

    def _scan_blocks(self) -> int:
        data = read_from(self.path, 0, limit=_MAX_SEGMENT)
        found, counts = [], []
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
        for at in range(len(self.index)):
            try:
                counts.append(counts_of(self.rows(at), int(self.index[at]["width"])))
            except FormatError as error:
                self._fault(str(error))
        self.counts = np.concatenate(counts) if counts else self.counts
        return len(self.index)

    # Pieces of a block.
    def _piece(self, block: int, number: int) -> bytes:
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

    def column(self, block: int, number: int) -> NDArray[Any]:
        """A decoded column by the number of its piece."""
        key = (self._serial, block, number)
        return self.cache.get(
            key, lambda: decode_column(self._piece(block, number), number, self.index[block])
        )

    def rows(self, block: int) -> Rows:
        """All of a block.

        Raises:
            FormatError: it is damaged.
        """
        record = self.index[block]
        keys = np.empty(int(record["rows"]), KEY)
        for number, name in enumerate(KEYS[:-1]):
            keys[name] = self.column(block, number)
        user_step = self.column(block, len(KEYS) - 1)
        if record["blob"]:
            return Rows(keys, user_step, None, self._blobs_of(block))
        columns = [self.column(block, len(KEYS) + at) for at in range(int(record["width"]))]
        return Rows(keys, user_step, np.stack(columns, axis=1) if columns else np.zeros((len(keys), 0)))

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

    def _blobs_of(self, block: int) -> tuple[bytes, ...]:
        lengths = decode_column(self._piece(block, len(KEYS)), len(KEYS), self.index[block])
        return decode_blob_bytes(self._piece(block, len(KEYS) + 1), lengths, limit=MAX_PAYLOAD)

    def _slice(self, block: int, group: int) -> slice:
        record = self.index[block]
        if record["group_first"] == record["group_last"]:
            return slice(0, int(record["rows"]))
        groups = self.column(block, 0)
        return slice(int(np.searchsorted(groups, group)), int(np.searchsorted(groups, group, "right")))

    # What a source asks.
    def blocks_of(self, group: int, width: int, start: int | None, stop: int | None) -> list[int]:
        """Blocks that may hold rows of a group with `start <= step < stop`, in order."""
        index = self.index
        mask = (index["group_first"] <= group) & (index["group_last"] >= group) & (index["width"] == width)
        if start is not None:
            mask &= index["step_max"] >= start
        if stop is not None:
            mask &= index["step_min"] < stop
        return np.flatnonzero(mask).tolist()

    def rows_of(
        self, group: int, members: NDArray[np.int32] | None, start: int | None, stop: int | None
    ) -> int:
        """About how many rows of a group there are in these trainings and steps."""
        counts = self.counts[self.counts["group"] == group]
        if members is not None:
            counts = counts[np.isin(counts["training"], members)]
        rows = counts["rows"].astype(np.float64)
        if start is not None or stop is not None:
            low, high = counts["step_min"].astype(np.float64), counts["step_max"].astype(np.float64) + 1
            first = low if start is None else np.maximum(low, start)
            last = high if stop is None else np.minimum(high, stop)
            rows = rows * np.clip((last - first) / (high - low), 0, 1)
        return int(rows.sum())

    def trainings_of(self, group: int) -> set[int]:
        """Numbers of the trainings in which the group has rows."""
        return set(np.unique(self.counts["training"][self.counts["group"] == group]).tolist())

    def parts(
        self, group: int, width: int, column: int, start: int | None, stop: int | None
    ) -> Iterator[Part]:
        """Rows of one series, block by block. A damaged block is left out and said."""
        for block in self.blocks_of(group, width, start, stop):
            part = self._part(block, group, column)
            if part is not None and len(part.step):
                yield part

    def _part(self, block: int, group: int, column: int) -> Part | None:
        try:
            where = self._slice(block, group)
            keys = [self.column(block, number)[where] for number in range(1, len(KEYS))]
            training, phase, step, micro, t_ns, user_step = keys
            values = self.column(block, len(KEYS) + column)[where]
        except (FormatError, OSError) as error:
            self._fault(f"block {block}: {error}")
            return None
        return Part(training, step, micro, phase, t_ns, user_step, values)

    def pieces(
        self, group: int, width: int, column: int, start: int | None, stop: int | None, *, size: int
    ) -> Iterator[Part | Buckets]:
        """As `parts`, but the stored buckets of `size` rows of each block that lies in the range."""
        for block in self.blocks_of(group, width, start, stop):
            record = self.index[block]
            whole = (start is None or record["step_min"] >= start) and (
                stop is None or record["step_max"] < stop
            )
            if size > 1 and whole and record["levels"][0]:
                try:
                    yield self.level(block, column, size)
                    continue
                except (FormatError, OSError) as error:
                    self._fault(f"block {block}: {error}")
            part = self._part(block, group, column)
            if part is not None and len(part.step):
                yield part

    def level(self, block: int, column: int, size: int) -> Buckets:
        """The stored buckets of one series of a block that has levels."""
        record = self.index[block]
        buckets = int(record["levels"][LEVELS.index(size)])
        if size == LEVELS[-1] and self._top_size:
            if self._top is None:
                top = self._read(self._top_at, self._top_size)
                if zlib.crc32(top) != self._top_checksum or self._level_bytes.sum() != len(top):
                    self._top_size = 0
                    raise FormatError("its top level is damaged")
                self._top = top
            start = int(self._level_starts[block])
            behind = start + 8 * len(SHARED) * buckets
            mine = behind + 8 * len(STATISTICS) * buckets * column
            return decode_level(
                self._top[start:behind], self._top[mine : mine + 8 * len(STATISTICS) * buckets], buckets
            )
        shared = self._piece(block, level_piece(record, size, None))
        return decode_level(shared, self._piece(block, level_piece(record, size, column)), buckets)

    def blobs(self, group: int) -> Iterator[tuple[int, int, bytes]]:
        """`(training, step, blob)` of a group of blobs."""
        for block in self.blocks_of(group, 0, None, None):
            try:
                where = self._slice(block, group)
                if where.start == where.stop:
                    continue
                training, step = self.column(block, 1)[where].tolist(), self.column(block, 3)[where].tolist()
                blobs = self._blobs_of(block)[where]
            except (FormatError, OSError) as error:
                self._fault(f"block {block}: {error}")
                continue
            yield from zip(training, step, blobs, strict=True)


class EventSegment:
    """One file of events; its frames are read at once and decoded when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = read_from(path, 0)
        self.faults: list[str] = []
        self.payloads: list[bytes | memoryview] = []
        end = start = len(LOG_MAGIC)
        whole = False
        if data[:start] == LOG_MAGIC:
            for end, kind, payload in scan(data, start):  # noqa: B007 - where it stopped
                if kind == FrameKind.EVENTS:
                    self.payloads.append(payload)
                whole = kind == FrameKind.END
        if not whole or end != len(data):
            self.faults.append(f"it is damaged behind byte {end}; {len(self.payloads)} parts were read")
