"""Segments of events: frames as in a log, read at once and decoded when asked for."""

from __future__ import annotations

from unbug.store.access import Where, read_from
from unbug.store.frames import LOG_MAGIC, FrameKind, scan

__all__ = ["EventSegment"]


class EventSegment:
    """One file of events; its frames are read at once and decoded when asked for."""

    def __init__(self, path: Where) -> None:
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
