"""Segments: what logs are turned into. What a reader asks of one: rows, levels, blobs, counts.

A segment that lost its end is still read: its blocks are found one after the other, as in a log.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.access import Where
from unbug.store.blocks import (
    COUNTS,
    KEYS,
    counts_of,
    decode_blob_bytes,
    decode_column,
    decode_level,
    level_piece,
)
from unbug.store.cache import Cache
from unbug.store.frames import MAX_PAYLOAD, FormatError
from unbug.store.levels import LEVELS, Buckets
from unbug.store.rows import KEY, Rows
from unbug.store.segment_file import SegmentFile
from unbug.store.tail import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Segment", "pairs_of"]

_serials = itertools.count()


def pairs_of(keys: NDArray[Any]) -> NDArray[np.int64]:
    """`(pairs,)`: each group with each training there is, once, as `group << 32 | training + 2**31`."""
    return np.unique((keys["group"].astype(np.int64) << 32) + keys["training"].astype(np.int64) + (1 << 31))


class Segment:
    """One file of blocks, open until `close`; so a reader may go on with it after it was merged away."""

    def __init__(self, path: Where, kind: str, cache: Cache | None = None) -> None:
        self.path, self.kind = path, kind
        self.cache = Cache(32 << 20) if cache is None else cache
        self._serial = next(_serials)
        self._file = SegmentFile(path)
        self.counts = self._file.counts if self._file.has_footer else self._recounted()

    @property
    def index(self) -> NDArray[Any]:
        """One INDEX record a block."""
        return self._file.index

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    @property
    def dropped(self) -> int:
        """Rows that thinning left out."""
        return self._file.dropped

    @property
    def faults(self) -> list[str]:
        """What could not be read, in words."""
        return self._file.faults

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def is_whole(self) -> bool:
        """Whether the checksum of every block holds. Reads all of the file."""
        return self._file.is_whole()

    def payload(self, block: int) -> bytes:
        """A block as it is stored.

        Raises:
            FormatError: it is cut.
        """
        return self._file.payload(block)

    def _recounted(self) -> NDArray[Any]:
        """The counts of a segment that lost its footer, from its rows."""
        found = []
        for at in range(len(self.index)):
            try:
                found.append(counts_of(self.rows(at), int(self.index[at]["width"])))
            except FormatError as error:
                self._file.fault(str(error))
        return np.concatenate(found) if found else np.zeros(0, COUNTS)

    def column(self, block: int, number: int) -> NDArray[Any]:
        """A decoded column by the number of its piece."""
        key = (self._serial, block, number)
        return self.cache.get(
            key, lambda: decode_column(self._file.piece(block, number), number, self.index[block])
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

    def _blobs_of(self, block: int) -> tuple[bytes, ...]:
        lengths = decode_column(self._file.piece(block, len(KEYS)), len(KEYS), self.index[block])
        return decode_blob_bytes(self._file.piece(block, len(KEYS) + 1), lengths, limit=MAX_PAYLOAD)

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

    def trainings(self) -> NDArray[np.int64]:
        """`(pairs,)`: each group with each training in which it has rows, once; see `pairs_of`."""
        return pairs_of(self.counts)

    def first_steps(self) -> Mapping[int, int]:
        """The lowest step, from 0, that each training has a row of."""
        known = self.counts[(self.counts["training"] >= 0) & (self.counts["step_max"] >= 0)]
        found: dict[int, int] = {}
        clear = known["step_min"] >= 0
        for training, step in zip(known["training"][clear], known["step_min"][clear], strict=True):
            found[int(training)] = min(found.get(int(training), int(step)), int(step))
        for block in range(len(self.index)) if not clear.all() else ():  # some rows lie before step 0
            try:
                trainings, steps = self.column(block, 1), self.column(block, 3)
            except (FormatError, OSError) as error:
                self._file.fault(f"block {block}: {error}")
                continue
            for training in np.unique(trainings[(trainings >= 0) & (steps >= 0)]).tolist():
                step = int(steps[(trainings == training) & (steps >= 0)].min())
                found[training] = min(found.get(training, step), step)
        return found

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
            self._file.fault(f"block {block}: {error}")
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
                    self._file.fault(f"block {block}: {error}")
            part = self._part(block, group, column)
            if part is not None and len(part.step):
                yield part

    def level(self, block: int, column: int, size: int) -> Buckets:
        """The stored buckets of one series of a block that has levels."""
        record = self.index[block]
        buckets = int(record["levels"][LEVELS.index(size)])
        if size == LEVELS[-1]:
            apart = self._file.top(block, column, buckets)
            if apart is not None:
                return decode_level(*apart, buckets)
        shared = self._file.piece(block, level_piece(record, size, None))
        return decode_level(shared, self._file.piece(block, level_piece(record, size, column)), buckets)

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
                self._file.fault(f"block {block}: {error}")
                continue
            yield from zip(training, step, blobs, strict=True)
