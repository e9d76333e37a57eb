"""Events as JSON lines in frames. A frame names the one kind it holds, or none if it holds several."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unbug.store.frames import MAX_PAYLOAD, FormatError, FrameKind, frame, inflate

__all__ = ["Line", "decode_events", "encode_events", "event_kind", "event_line", "event_size", "plain"]

_SQUEEZE_ABOVE = 256

Line = tuple[str, int, int, int, int, int, dict[str, Any]]
"""kind, t_ns, training, step, micro, phase, fields"""


def plain(value: Any, around: tuple[int, ...] = ()) -> Any:
    """What JSON can hold: NaN and infinities as strings, anything unknown as its text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value if type(value) in (bool, int, str, type(None)) else json.loads(json.dumps(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if len(around) > 32 or id(value) in around:
        return "…"
    around = (*around, id(value))
    if isinstance(value, Mapping):
        return {str(name): plain(inner, around) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner, around) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), around)
    return str(value)


def event_line(kind: str, t_ns: int, training: int, step: int, micro: int, phase: int, fields: Any) -> str:
    """One event as a line of JSON. Whatever cannot be written is written as its text."""
    head = [kind, int(t_ns), int(training), int(step), int(micro), int(phase)]
    try:
        return json.dumps([*head, fields], separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return json.dumps([*head, plain(fields)], separators=(",", ":"), allow_nan=False)


def encode_events(lines: Iterable[str], *, kind: str = "") -> bytes:
    """One frame; `kind` if all lines are of one. The kind stays readable, so that frames are skipped
    unread."""
    name = kind.encode("utf-8", "replace")[:255]
    text = "\n".join(lines).encode()
    packed = zlib.compress(text, 1) if len(text) > _SQUEEZE_ABOVE else text
    size = len(text) if len(packed) < len(text) else 0
    return frame(
        FrameKind.EVENTS, bytes([len(name)]) + name + size.to_bytes(4, "little") + (packed if size else text)
    )


def event_kind(payload: bytes | memoryview) -> str:
    """The one kind a frame holds; empty if several."""
    return bytes(payload[1 : 1 + payload[0]]).decode("utf-8", "replace") if len(payload) else ""


def event_size(payload: bytes | memoryview) -> int:
    """Bytes of a frame once it is inflated, as it says."""
    if len(payload) < 5 or len(payload) < 5 + payload[0]:
        return 0
    start = 5 + payload[0]
    return int.from_bytes(payload[start - 4 : start], "little") or len(payload)


def decode_events(payload: bytes | memoryview) -> Sequence[Line]:
    """The events of a frame.

    Raises:
        FormatError: it is damaged.
    """
    if len(payload) < 5 or len(payload) < 5 + payload[0]:
        raise FormatError("a frame of events is cut")
    start = 5 + payload[0]
    size = int.from_bytes(payload[start - 4 : start], "little")
    if size > MAX_PAYLOAD:
        raise FormatError("a frame of events is too large")
    text = inflate(payload[start:], size) if size else bytes(payload[start:])
    found: list[Line] = []
    try:
        for line in text.split(b"\n"):
            if line:
                kind, t_ns, training, step, micro, phase, fields = json.loads(line)
                if not isinstance(fields, dict) or not isinstance(kind, str) or phase not in (0, 1, 2):
                    raise ValueError("not an event")
                found.append((kind, int(t_ns), int(training), int(step), int(micro), int(phase), fields))
    except (ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"an event cannot be read: {error}") from None
    return found
