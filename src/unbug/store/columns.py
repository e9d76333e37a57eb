"""One column of a block as bytes: constants and steady counts cost nothing, the rest is byte-shuffled.

Shuffling puts the bytes of equal weight side by side. Those that repeat (exponents, the low bytes of what was
a float32) shrink to almost nothing; those that are noise are recognised by their entropy and left alone,
which is what keeps this cheap: deflating noise takes longer than everything else together.
"""

from __future__ import annotations

import math
import zlib
from struct import Struct, error
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.frames import FormatError, inflate

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decode_bytes", "decode_floats", "decode_ints", "encode_bytes", "encode_floats", "encode_ints"]

_CONSTANT, _STEADY, _DELTA, _FLOATS, _PLAIN, _DEFLATED = range(6)
_TWO = Struct("<Bqq")
_DELTA_HEAD = Struct("<BqqB")
_PLANES = Struct("<BI")
_NOISE_BITS = 7.6
"""Planes with more entropy a byte than this are stored as they are."""
_SAMPLE = 2048
_ALL = (1 << 64) - 1


def _encode_planes(data: NDArray[Any], size: int) -> bytes:
    """Shuffle elements of `size` bytes; deflate the planes that are worth it."""
    planes = data.view(np.uint8).reshape(len(data), size).T
    worth = [_entropy(plane) < _NOISE_BITS for plane in planes]
    good = b"".join([plane.tobytes() for plane, yes in zip(planes, worth, strict=True) if yes])
    packed = zlib.compress(good, 1)
    if len(packed) >= len(good):
        worth, packed = [False] * size, b""
    mask = sum(1 << at for at, yes in enumerate(worth) if yes)
    rest = b"".join([plane.tobytes() for plane, yes in zip(planes, worth, strict=True) if not yes])
    return _PLANES.pack(mask, len(packed)) + packed + rest


def _entropy(plane: NDArray[np.uint8]) -> float:
    if len(plane) < 512:  # Too few to tell; deflate finds out.
        return 0.0
    sample = plane[:: -(-len(plane) // _SAMPLE)]
    counts = np.bincount(sample, minlength=256)
    counts = counts[counts > 0]
    size = len(sample)
    bits = math.log2(size) - float((counts * np.log2(counts)).sum()) / size
    # A sample shows a little less entropy than there is (Miller and Madow's correction).
    return bits + 255 / (2 * math.log(2) * size) if size >= 1024 else bits * 8 / math.log2(size)


def _decode_planes(data: memoryview, rows: int, size: int) -> NDArray[np.uint8]:
    mask, length = _PLANES.unpack_from(data)
    good = mask.bit_count()
    start = _PLANES.size + length
    rest = data[start:]
    if mask >> size or len(rest) != rows * (size - good):
        raise FormatError("a column has the wrong length")
    planes = np.empty((size, rows), np.uint8)
    chosen = [bool(mask >> at & 1) for at in range(size)]
    if good:
        text = inflate(data[_PLANES.size : start], rows * good)
        planes[chosen] = np.frombuffer(text, np.uint8).reshape(good, rows)
    if good < size:
        planes[[not one for one in chosen]] = np.frombuffer(rest, np.uint8).reshape(size - good, rows)
    return np.ascontiguousarray(planes.T)


def encode_ints(column: NDArray[Any]) -> bytes:
    """Encode integers: a constant, a steady count, or differences in as few bytes as hold them."""
    data = column.astype(np.int64)
    if len(data) == 0:
        return _TWO.pack(_STEADY, 0, 0)
    delta = data[1:] - data[:-1]  # Wraps around, and so does decoding.
    first, low = int(data[0]), int(delta.min()) if len(delta) else 0
    high = int(delta.max()) if len(delta) else 0
    if low == high:
        return _TWO.pack(_STEADY, first, low)
    span = high - low
    size = next(width for width in (1, 2, 4, 8) if span < 1 << 8 * width)
    shifted = (delta.view(np.uint64) - np.uint64(low & _ALL)).astype(f"<u{size}")
    return _DELTA_HEAD.pack(_DELTA, first, low, size) + _encode_planes(shifted, size)


def decode_ints(data: bytes, rows: int) -> NDArray[np.int64]:
    """The integers of a column of `rows` rows.

    Raises:
        FormatError: it is damaged.
    """
    try:
        if data[0] == _STEADY:
            _, first, stride = _TWO.unpack(data)
            counted = np.arange(rows, dtype=np.uint64) * np.uint64(stride & _ALL)
            return (counted + np.uint64(first & _ALL)).view(np.int64)
        _, first, low, size = _DELTA_HEAD.unpack_from(data)
        if data[0] != _DELTA or size not in (1, 2, 4, 8) or rows < 2:
            raise FormatError("a column of integers has an unknown code")
        raw = _decode_planes(memoryview(data)[_DELTA_HEAD.size :], rows - 1, size).view(f"<u{size}").ravel()
    except (error, IndexError, OverflowError):
        raise FormatError("a column of integers is cut") from None
    out = np.empty(rows, np.uint64)
    out[0] = first & _ALL
    out[1:] = raw
    out[1:] += np.uint64(low & _ALL)
    return np.cumsum(out, dtype=np.uint64).view(np.int64)


def encode_floats(column: NDArray[np.float64]) -> bytes:
    """Encode 64-bit floats, every bit of them (NaN payloads too)."""
    data = np.ascontiguousarray(column, "<f8")
    bits = data.view(np.uint64)
    if len(bits) and (bits == bits[0]).all():
        return bytes([_CONSTANT]) + data[:1].tobytes()
    return bytes([_FLOATS]) + _encode_planes(data, 8)


def decode_floats(data: bytes, rows: int) -> NDArray[np.float64]:
    """The floats of a column of `rows` rows.

    Raises:
        FormatError: it is damaged.
    """
    try:
        if data[0] == _CONSTANT and len(data) == 9:
            return np.repeat(np.frombuffer(data, "<f8", 1, 1), rows)
        if data[0] != _FLOATS:
            raise FormatError("a column of floats has an unknown code")
        return _decode_planes(memoryview(data)[1:], rows, 8).view("<f8").ravel()
    except (error, IndexError):
        raise FormatError("a column of floats is cut") from None


def encode_bytes(data: bytes) -> bytes:
    """Encode bytes of any kind."""
    packed = zlib.compress(data, 1)
    return bytes([_DEFLATED]) + packed if len(packed) < len(data) else bytes([_PLAIN]) + data


def decode_bytes(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes.

    Raises:
        FormatError: it is damaged.
    """
    if data[:1] == bytes([_DEFLATED]):
        return inflate(memoryview(data)[1:], size)
    if data[:1] == bytes([_PLAIN]) and len(data) == size + 1:
        return data[1:]
    raise FormatError("a column of bytes has an unknown code")
