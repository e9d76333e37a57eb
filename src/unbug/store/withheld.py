"""What `unbug pack --no-data` leaves out of a run: what the program was given, printed, and is written as.

That is what the privacy settings `batches`, `console`, `source` and `diff` name, the media that the program
logged, and the text of exceptions and lines of source that findings quote. Numbers stay: losses, statistics
of tensors, shapes, paths, configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from unbug.store.eventlog import Line, decode_events, encode_events, event_kind, event_line
from unbug.store.frames import LOG_MAGIC, FormatError, FrameKind, frame, scan

__all__ = ["LEFT_OUT", "without_data"]

LEFT_OUT = frozenset({"console", "batch", "source", "media"})
"""Kinds of events that are left out whole."""
_MORE = frozenset({"environment", "crash", "finding", "fault", "hang", "end"})
"""Kinds of which some fields are."""
_TEXTS = frozenset({"diff", "traceback", "text", "stacks", "error", "message_of_error", "preview"})


def without_data(content: bytes) -> bytes:
    """A log, or a segment of events, without what is to be left out. All else is copied as it is."""
    out = [LOG_MAGIC]
    for _, kind, payload in scan(content, len(LOG_MAGIC)):
        if kind != FrameKind.EVENTS:
            out.append(frame(FrameKind(kind), bytes(payload)))
            continue
        of = event_kind(payload)
        if of in LEFT_OUT:
            continue
        if of and of not in _MORE:
            out.append(frame(FrameKind.EVENTS, bytes(payload)))
            continue
        lines = [event_line(*line) for line in _cleaned(payload)]
        if lines:
            out.append(encode_events(lines, kind=of))
    return b"".join(out)


def _cleaned(payload: bytes | memoryview) -> Iterator[Line]:
    try:
        lines: Iterable[Line] = decode_events(payload)
    except FormatError:
        return
    for line in lines:
        if line[0] in LEFT_OUT:
            continue
        yield (*line[:6], _without_texts(line[6])) if line[0] in _MORE else line


def _without_texts(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields without those that quote the program; of an error, its class stays."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "error" and isinstance(value, str):
            kept[name] = value.partition(":")[0]
        elif isinstance(value, dict):
            kept[name] = _without_texts(value)
        elif name not in _TEXTS:
            kept[name] = value
    return kept
