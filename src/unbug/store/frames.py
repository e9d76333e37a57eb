"""Frames: the only thing that is ever appended to a file of a run.

A file is eight bytes that name it, then frames. A frame is twelve bytes of header (length, checksum, kind,
flags, magic) and its payload. A reader takes frames until one is cut or wrong; what comes before is whole.
Lengths are checked before memory is taken, and decompression stops at the size that was promised.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct

__all__ = [
    "LOG_MAGIC",
    "MAX_PAYLOAD",
    "SEGMENT_MAGIC",
    "FormatError",
    "FrameKind",
    "frame",
    "inflate",
    "scan",
]

LOG_MAGIC = b"unbugL1\n"
SEGMENT_MAGIC = b"unbugS1\n"
MAX_PAYLOAD = 1 << 26
"""A longer frame is refused: 64 MiB is 16 times what a log may hold."""

_HEADER = Struct("<IIBBH")
_MAGIC = 0x6275
COMPRESSED = 1


class FormatError(Exception):
    """Bytes that no unbug wrote, or that were damaged since. Never leaves the store."""


class FrameKind(IntEnum):
    """What a payload is."""

    DEFINITIONS = 1
    ROWS = 2
    BLOBS = 3
    EVENTS = 4
    BLOCK = 5
    END = 6


def frame(kind: FrameKind, payload: bytes, *, squeeze_above: int | None = None) -> bytes:
    """Wrap a payload; compress it when it is longer than `squeeze_above` bytes and that makes it shorter."""
    flags = 0
    if squeeze_above is not None and len(payload) > squeeze_above:
        squeezed = len(payload).to_bytes(4, "little") + zlib.compress(payload, 1)
        if len(squeezed) < len(payload):
            payload, flags = squeezed, COMPRESSED
    return _HEADER.pack(len(payload), zlib.crc32(payload, kind << 8 | flags), kind, flags, _MAGIC) + payload


def inflate(data: bytes | memoryview, size: int) -> bytes:
    """Decompress to exactly `size` bytes, taking no more memory than that.

    Raises:
        FormatError: it is no zlib stream of that size.
    """
    machine = zlib.decompressobj()
    try:
        out = machine.decompress(data, size + 1)
    except zlib.error as error:
        raise FormatError(str(error)) from None
    if len(out) != size or not machine.eof:
        raise FormatError(f"decompresses to other than {size} bytes")
    return out


def scan(data: bytes | memoryview, start: int = 0) -> Iterator[tuple[int, int, bytes | memoryview]]:
    """Yield `(end, kind, payload)` of every whole frame from `start`; stop at the first that is cut or wrong.

    `end` is the offset behind the frame: where to go on once more has been written.
    """
    view = memoryview(data)
    position, size = start, len(view)
    unpack, header, crc32 = _HEADER.unpack_from, _HEADER.size, zlib.crc32
    while position + header <= size:
        length, checksum, kind, flags, magic = unpack(view, position)
        end = position + header + length
        if magic != _MAGIC or length > MAX_PAYLOAD or end > size:
            return
        payload: bytes | memoryview = view[position + header : end]
        if crc32(payload, kind << 8 | flags) != checksum:
            return
        if flags & COMPRESSED:
            promised = int.from_bytes(payload[:4], "little")
            if promised > MAX_PAYLOAD:
                return
            try:
                payload = inflate(payload[4:], promised)
            except FormatError:
                return
        yield end, kind, payload
        position = end
