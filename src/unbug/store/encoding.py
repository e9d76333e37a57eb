"""A batch of what was queued as the bytes of one flush. Whatever is no row or no event is left out and
counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from unbug.store.eventlog import encode_events, event_line
from unbug.store.rows import Queued, encode_blobs, encode_rows
from unbug.types import Training

__all__ = ["encode_batch"]

_FRAME_BYTES = 8 << 20
"""About the most that goes into one frame: a reader refuses one of 64 MiB."""
_ITEM_BYTES = 16 << 20
"""A blob or event larger than this is left out."""


def encode_batch(
    batch: Sequence[Queued],
    events: Sequence[tuple[Any, ...]],
    trainings: Sequence[tuple[Training, int]],
    widths: Sequence[int],
) -> tuple[bytes, int]:
    """Encode rows (by the width of their groups), events and trainings; also how many were left out."""
    by_width: dict[int, list[Queued]] = {}
    known = len(widths)
    malformed = 0
    for row in batch:
        group = row[0]
        width = widths[group] if isinstance(group, int) and 0 <= group < known else -1
        if width in by_width:
            by_width[width].append(row)
        else:
            by_width[width] = [row]
    malformed += len(by_width.pop(-1, ()))
    parts = []
    for width, rows in by_width.items():
        for piece in _portions(rows, width):
            data, bad = encode_rows(piece, width) if width else encode_blobs(piece)
            malformed += bad
            parts.append(data)
    lines = [_line(*event) for event in events]
    for training, t_ns in trainings:
        lines.append(_line("training", t_ns, training.number, training.steps, 0, 2, asdict(training)))
    good = [line for line in lines if line]
    malformed += len(lines) - len(good)
    parts.extend(encode_events(some) for some in _bounded(good))
    return b"".join(parts), malformed


def _portions(rows: list[Queued], width: int) -> Iterator[list[Queued]]:
    if width:
        size = max(1, _FRAME_BYTES // (8 * width))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]
        return
    now: list[Queued] = []
    have = 0
    for row in rows:
        size = len(row[7]) if hasattr(row[7], "__len__") else 0
        if size > _ITEM_BYTES:
            row = (*row[:7], None)  # Refused, and counted, by the encoder.
        elif have + size > _FRAME_BYTES and now:
            yield now
            now, have = [], 0
        now.append(row)
        have += size
    yield now


def _bounded(lines: list[str]) -> Iterator[list[str]]:
    now: list[str] = []
    have = 0
    for line in lines:
        if have + len(line) > _FRAME_BYTES and now:
            yield now
            now, have = [], 0
        now.append(line)
        have += len(line)
    if now:
        yield now


def _line(kind: str, t_ns: int, training: int, step: int, micro: int, phase: int, fields: Any) -> str:
    try:
        line = event_line(kind, t_ns, training, step, micro, phase, fields)
    except Exception:  # Fields of any type come here, with any `__str__`.
        return ""
    return line if len(line) <= _ITEM_BYTES else ""
