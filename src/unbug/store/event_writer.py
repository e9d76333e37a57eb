"""Writes a segment of events, a little at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unbug.store.eventlog import Line, decode_events, encode_events, event_line
from unbug.store.frames import LOG_MAGIC, FormatError, FrameKind, frame
from unbug.store.segment_writer import TemporaryFile

__all__ = ["lines_of", "write_events"]

MAX_EVENTS_FRAME = 1 << 20


def write_events(path: Path, lines: list[Line]) -> Iterator[None]:
    """Write events, one kind a frame; of statements on a training the last one counts."""
    out = TemporaryFile(path)
    try:
        out.write(LOG_MAGIC)
        by_kind: dict[str, list[Line]] = {}
        for line in lines:
            by_kind.setdefault(line[0], []).append(line)
        if "training" in by_kind:
            last = {line[2]: line for line in by_kind["training"]}
            by_kind["training"] = list(last.values())
        for kind, mine in by_kind.items():
            texts: list[str] = []
            size = 0
            for line in mine:
                texts.append(event_line(*line))
                size += len(texts[-1])
                if size > MAX_EVENTS_FRAME:
                    out.write(encode_events(texts, kind=kind))
                    texts, size = [], 0
                    yield
            if texts:
                out.write(encode_events(texts, kind=kind))
                yield
        out.write(frame(FrameKind.END, b""))
        out.finish()
    finally:
        out.abandon()


def lines_of(payload: bytes | memoryview) -> list[Line]:
    """The events of a frame; none if it is damaged."""
    try:
        return list(decode_events(payload))
    except FormatError:
        return []
