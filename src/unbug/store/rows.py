"""Rows as they lie in the live log and in memory: a table of keys beside a table of values.

All rows of one flush whose groups have equally many series share one frame, whatever their groups are: ten
thousand groups cost no more than one. Keys are byte-shuffled and compressed when there are enough to pay;
values are not, since the log lives only until it is turned into a segment.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct, error
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.frames import FormatError, FrameKind, frame, inflate

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KEY", "Queued", "Rows", "decode_blobs", "decode_rows", "encode_blobs", "encode_rows"]

KEY = np.dtype(
    [
        ("group", "<u4"),
        ("step", "<i8"),
        ("t_ns", "<i8"),
        ("training", "<i4"),
        ("micro", "<i4"),
        ("phase", "u1"),
    ]
)
_KEY = Struct("<IqqiiB")
_HEAD = Struct("<HIBI")
_USER_STEP, _SQUEEZED = 1, 2
_WORTH = 16
"""Fewer keys than this do not get shorter."""
MAX_ROWS = 1 << 22

Queued = tuple[int, int, int, int, int, int, "float | None", Any]
"""What `Writer.row` queues: group, step, t_ns, training, micro, phase, user_step, values."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of equal width. `values` is `(rows, width)`; for blobs it is None and `blobs` has one entry a row.

    `user_step` is `(rows,)`, NaN where there is none.
    """

    keys: NDArray[Any]
    user_step: NDArray[np.float64]
    values: NDArray[np.float64] | None = None
    blobs: tuple[bytes, ...] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, picked: NDArray[Any]) -> Rows:
        """The rows at these positions (or where this mask holds)."""
        values = None if self.values is None else self.values[picked]
        blobs = None
        if self.blobs is not None:
            places = np.flatnonzero(picked) if picked.dtype == np.bool_ else picked
            blobs = tuple(self.blobs[at] for at in places.tolist())
        return Rows(self.keys[picked], self.user_step[picked], values, blobs)

    @staticmethod
    def concatenate(parts: Sequence[Rows]) -> Rows:
        """All rows, in order; the parts have one width."""
        if len(parts) == 1:
            return parts[0]
        keys = np.concatenate([part.keys for part in parts])
        user_step = np.concatenate([part.user_step for part in parts])
        if parts[0].blobs is not None:
            return Rows(keys, user_step, None, tuple(blob for part in parts for blob in part.blobs or ()))
        return Rows(
            keys, user_step, np.concatenate([part.values for part in parts if part.values is not None])
        )


def _keys_and_values(
    batch: Sequence[Queued], pack_values: Any
) -> tuple[list[bytes], list[bytes], list[Queued], int]:
    """Pack row by row, leaving out what is no row; also how many those were."""
    keys, values, good, bad = [], [], [], 0
    for row in batch:
        group, step, t_ns, training, micro, phase, user_step, given = row
        try:
            key, value = _KEY.pack(group, step, t_ns, training, micro, phase), pack_values(given)
            if user_step is not None:
                float(user_step)
        except (error, TypeError, ValueError, OverflowError):
            bad += 1
            continue
        keys.append(key)
        values.append(value)
        good.append(row)
    return keys, values, good, bad


def _head(width: int, batch: Sequence[Queued], keys: list[bytes]) -> bytes:
    count, flags = len(keys), 0
    packed = b"".join(keys)
    if count >= _WORTH:
        shuffled = np.frombuffer(packed, np.uint8).reshape(count, _KEY.size).T.tobytes()
        packed = zlib.compress(shuffled, 1)
        flags |= _SQUEEZED
    user = b""
    if any(row[6] is not None for row in batch):
        user = np.array([np.nan if row[6] is None else float(row[6]) for row in batch], "<f8").tobytes()
        flags |= _USER_STEP
    return _HEAD.pack(width, count, flags, len(packed)) + packed + user


def encode_rows(batch: Sequence[Queued], width: int) -> tuple[bytes, int]:
    """Encode rows of groups of `width` series as one frame; returns it and how many rows were no rows."""
    pack, key = Struct(f"<{width}d").pack, _KEY.pack
    bad = 0
    try:  # The common case, without a try for each row.
        keys = [key(g, s, t, training, m, p) for g, s, t, training, m, p, _, _ in batch]
        values = [pack(*row[7]) for row in batch]
        head = _head(width, batch, keys)
    except (error, TypeError, ValueError, OverflowError):
        keys, values, batch, bad = _keys_and_values(batch, lambda given: pack(*given))
        if not batch:
            return b"", bad
        head = _head(width, batch, keys)
    return frame(FrameKind.ROWS, head + b"".join(values)), bad


def _octets(given: Any) -> bytes:
    if isinstance(given, int):  # bytes(5) would be five zeros.
        raise TypeError("a blob is bytes")
    return bytes(given)


def encode_blobs(batch: Sequence[Queued]) -> tuple[bytes, int]:
    """Encode rows of blob groups as one frame; returns it and how many rows were no rows."""
    keys, values, good, bad = _keys_and_values(batch, _octets)
    if not good:
        return b"", bad
    lengths = np.array([len(value) for value in values], "<u4").tobytes()
    return frame(FrameKind.BLOBS, _head(0, good, keys) + lengths + b"".join(values)), bad


def _decode_head(payload: bytes | memoryview) -> tuple[int, NDArray[Any], NDArray[np.float64], int]:
    try:
        width, count, flags, length = _HEAD.unpack_from(payload)
    except error:
        raise FormatError("a frame of rows is too short") from None
    if count > MAX_ROWS:
        raise FormatError(f"a frame claims {count} rows")
    position = _HEAD.size + length
    packed = payload[_HEAD.size : position]
    if flags & _SQUEEZED:
        shuffled = np.frombuffer(inflate(packed, count * _KEY.size), np.uint8)
        packed = shuffled.reshape(_KEY.size, count).T.tobytes()
    if len(packed) != count * _KEY.size:
        raise FormatError("a frame of rows has the wrong length")
    keys = np.frombuffer(packed, KEY)
    user_step = np.full(count, np.nan)
    if flags & _USER_STEP:
        if len(payload) < position + 8 * count:
            raise FormatError("a frame of rows has the wrong length")
        user_step = np.frombuffer(payload, "<f8", count, position).astype(np.float64)
        position += 8 * count
    return width, keys, user_step, position


def decode_rows(payload: bytes | memoryview) -> tuple[int, Rows]:
    """The width and rows of a frame.

    Raises:
        FormatError: it is damaged.
    """
    width, keys, user_step, position = _decode_head(payload)
    if not width:  # Keys alone may be a thousand times as long as what they were squeezed to.
        raise FormatError("a frame of rows has no values")
    if len(payload) - position != 8 * width * len(keys):
        raise FormatError("a frame of rows has the wrong length")
    values = np.frombuffer(payload, "<f8", width * len(keys), position).reshape(len(keys), width)
    return width, Rows(keys, user_step, values)


def decode_blobs(payload: bytes | memoryview) -> Rows:
    """The rows of a frame of blobs.

    Raises:
        FormatError: it is damaged.
    """
    _, keys, user_step, position = _decode_head(payload)
    count = len(keys)
    if len(payload) < position + 4 * count:
        raise FormatError("a frame of blobs has the wrong length")
    lengths = np.frombuffer(payload, "<u4", count, position)
    ends = position + 4 * count + np.cumsum(lengths, dtype=np.int64)
    if len(payload) != (ends[-1] if count else position):
        raise FormatError("a frame of blobs has the wrong length")
    starts = ends - lengths
    blobs = tuple(bytes(payload[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
    return Rows(keys, user_step, None, blobs)
