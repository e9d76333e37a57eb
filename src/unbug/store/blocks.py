"""Blocks: rows of equal width, ordered by group, each column by itself, so that one series is read alone.

A block of one large group carries levels. Blocks of many small groups are packed together: the cost of a
group is then a few bytes in the column of groups and not a block of its own.

    head     one INDEX record, then one PIECE (offset, length, checksum) for each piece
    pieces   7 columns of keys, `width` columns of values (blobs: their lengths, then their bytes),
             then for each level the shared column and `width` columns of low, high, mean, nonfinite
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.columns import (
    decode_bytes,
    decode_floats,
    decode_ints,
    encode_bytes,
    encode_floats,
    encode_ints,
)
from unbug.store.frames import FormatError
from unbug.store.levels import (
    LEVELS,
    SHARED,
    STATISTICS,
    Buckets,
    bucket_starts,
    merge_buckets,
    reduce_rows,
    shared_of,
)
from unbug.store.rows import KEY, Rows
from unbug.store.tail import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "COUNTS", "INDEX", "KEYS", "MAX_BLOCK_ROWS", "PIECE", "block_rows", "check_index", "counts_of",
    "decode_blob_bytes", "decode_column", "decode_level", "encode_block", "level_piece", "pieces_in",
]  # fmt: skip

KEYS = ("group", "training", "phase", "step", "micro", "t_ns", "user_step")
MAX_BLOCK_ROWS = 65536
MAX_WIDTH = 65535
MOST_VALUES = 1 << 20
"""In a block, unless 64 rows have more."""
_LEVELS_FROM = 1024
"""Rows from which a block of one group has levels."""

INDEX = np.dtype(
    [
        ("offset", "<u8"), ("length", "<u4"), ("rows", "<u4"), ("width", "<u4"), ("blob", "u1"),
        ("levels", "<u4", 3), ("group_first", "<u4"), ("group_last", "<u4"),
        ("step_min", "<i8"), ("step_max", "<i8"),
    ]
)  # fmt: skip
PIECE = np.dtype([("offset", "<u4"), ("length", "<u4"), ("checksum", "<u4")])
COUNTS = np.dtype(
    [
        ("width", "<u4"), ("group", "<u4"), ("training", "<i4"), ("phase", "u1"), ("rows", "<u8"),
        ("bytes", "<u8"), ("step_min", "<i8"), ("step_max", "<i8"),
    ]
)  # fmt: skip


def block_rows(width: int) -> int:
    """Rows in a full block: fewer for wide groups, so that a block stays small in memory."""
    return max(64, min(MAX_BLOCK_ROWS, MOST_VALUES // max(width, 1)))


def counts_of(rows: Rows, width: int) -> NDArray[Any]:
    """How many rows there are of each group, training and phase. The rows are ordered by these."""
    keys = rows.keys
    change = np.zeros(len(keys), np.bool_)
    change[0] = True
    for name in ("group", "training", "phase"):
        change[1:] |= keys[name][1:] != keys[name][:-1]
    starts = np.flatnonzero(change)
    out = np.zeros(len(starts), COUNTS)
    out["width"] = width
    for name in ("group", "training", "phase"):
        out[name] = keys[name][starts]
    out["rows"] = np.diff(np.append(starts, len(keys)))
    out["step_min"] = np.minimum.reduceat(keys["step"], starts)
    out["step_max"] = np.maximum.reduceat(keys["step"], starts)
    if rows.blobs is not None:
        out["bytes"] = np.add.reduceat(np.array([len(blob) for blob in rows.blobs], np.uint64), starts)
    else:
        out["bytes"] = out["rows"] * np.uint64(8 * width)
    return out


def encode_block(rows: Rows) -> tuple[bytes, NDArray[Any], list[bytes]]:
    """Encode ordered rows; returns the block, its INDEX record and the pieces of the top level."""
    keys, blob = rows.keys, rows.blobs is not None
    pieces = [encode_ints(keys[name]) for name in KEYS[:-1]] + [encode_floats(rows.user_step)]
    width = 0
    record = np.zeros(1, INDEX)
    top: list[bytes] = []
    if rows.blobs is not None:
        pieces.append(encode_ints(np.array([len(one) for one in rows.blobs], np.int64)))
        pieces.append(encode_bytes(b"".join(rows.blobs)))
    elif rows.values is not None:
        width = rows.values.shape[1]
        columns = np.ascontiguousarray(rows.values.T)
        pieces += [encode_floats(column) for column in columns]
        if len(keys) >= _LEVELS_FROM and keys["group"][0] == keys["group"][-1]:
            sizes, levels = _levels(rows, columns)
            record["levels"] = sizes
            top = levels[-1]
            pieces += [piece for level in levels for piece in level]
    record["rows"], record["width"], record["blob"] = len(keys), width, blob
    record["group_first"], record["group_last"] = keys["group"][0], keys["group"][-1]
    record["step_min"], record["step_max"] = keys["step"].min(), keys["step"].max()
    table = np.zeros(len(pieces), PIECE)
    table["length"] = [len(piece) for piece in pieces]
    head = INDEX.itemsize + table.nbytes
    table["offset"] = head + np.concatenate([[0], np.cumsum(table["length"][:-1], dtype=np.int64)])
    table["checksum"] = [zlib.crc32(piece) for piece in pieces]
    record["length"] = head + int(table["length"].sum(dtype=np.int64))
    return b"".join([record.tobytes(), table.tobytes(), *pieces]), record, top


def _levels(rows: Rows, columns: NDArray[np.float64]) -> tuple[list[int], list[list[bytes]]]:
    """For each level its number of buckets, and its shared piece before one piece a series."""
    keys = rows.keys
    part = Part(
        keys["training"], keys["step"], keys["micro"], keys["phase"], keys["t_ns"], rows.user_step, columns[0]
    )  # fmt: skip
    starts = bucket_starts(part.training, part.phase, LEVELS[0])
    shared = shared_of(part, starts)
    now = [Buckets(shared, reduce_rows(column, starts)) for column in columns]
    sizes, out = [], []
    for level in LEVELS:
        if level != LEVELS[0]:
            starts = bucket_starts(now[0].shared[0], now[0].shared[1], LEVELS[1] // LEVELS[0])
            now = [merge_buckets(one, starts) for one in now]
        sizes.append(len(now[0]))
        out.append(
            [now[0].shared.astype("<i8").tobytes(), *(one.values.astype("<f8").tobytes() for one in now)]
        )
    return sizes, out


def pieces_in(record: Any) -> int:
    """How many pieces a block has."""
    values = 2 if record["blob"] else int(record["width"])
    levels = len(LEVELS) * (1 + int(record["width"])) if record["levels"][0] else 0
    return len(KEYS) + values + levels


def level_piece(record: Any, level: int, column: int | None) -> int:
    """Number of the piece that holds a column of a level; of its shared column for None."""
    width = int(record["width"])
    return len(KEYS) + width + LEVELS.index(level) * (1 + width) + (0 if column is None else 1 + column)


def check_index(index: NDArray[Any], file_size: int) -> None:
    """Refuse an index that points outside the file, or promises more than a block may hold.

    Raises:
        FormatError: it does.
    """
    if not len(index):
        return
    values = np.where(index["blob"] > 0, 2, index["width"].astype(np.int64))
    levels = np.where(index["levels"][:, 0] > 0, len(LEVELS) * (1 + index["width"].astype(np.int64)), 0)
    heads = INDEX.itemsize + (len(KEYS) + values + levels) * PIECE.itemsize
    ends = index["offset"].astype(np.float64) + index["length"]
    if (
        (ends > file_size).any()
        or (heads > index["length"]).any()
        or (index["rows"] > MAX_BLOCK_ROWS).any()
        or (values * index["rows"] > np.maximum(64 * values, MOST_VALUES)).any()
        or (index["rows"] == 0).any()
        or (index["width"] > MAX_WIDTH).any()
        or (index["levels"] > index["rows"][:, None]).any()
        or (index["group_first"] > index["group_last"]).any()
    ):
        raise FormatError("its index is damaged")


def decode_column(data: bytes, number: int, record: Any) -> NDArray[Any]:
    """A column of keys or values by the number of its piece.

    Raises:
        FormatError: it is damaged.
    """
    rows = int(record["rows"])
    if number < len(KEYS) - 1:
        kind = KEY[KEYS[number]]
        return decode_ints(data, rows).astype(kind)
    if number >= len(KEYS) and record["blob"]:
        return decode_ints(data, rows)
    return decode_floats(data, rows)


def decode_blob_bytes(data: bytes, lengths: NDArray[np.int64], *, limit: int) -> tuple[bytes, ...]:
    """The blobs of a block.

    Raises:
        FormatError: it is damaged, or would take more than `limit` bytes.
    """
    if (lengths < 0).any() or lengths.astype(np.float64).sum() > limit:
        raise FormatError("blobs have impossible lengths")
    ends = np.cumsum(lengths)
    whole = decode_bytes(data, int(ends[-1]))
    return tuple(whole[a:b] for a, b in zip((ends - lengths).tolist(), ends.tolist(), strict=True))


def decode_level(shared: bytes, values: bytes, buckets: int) -> Buckets:
    """Buckets of one series.

    Raises:
        FormatError: it is damaged.
    """
    if len(shared) != 8 * len(SHARED) * buckets or len(values) != 8 * len(STATISTICS) * buckets:
        raise FormatError("a level has the wrong length")
    return Buckets(
        np.frombuffer(shared, "<i8").reshape(len(SHARED), buckets),
        np.frombuffer(values, "<f8").reshape(len(STATISTICS), buckets),
    )
