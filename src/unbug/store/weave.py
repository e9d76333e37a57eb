"""Make one segment out of rows or of segments, a little at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.blocks import COUNTS, block_rows
from unbug.store.levels import LEVELS, Buckets
from unbug.store.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.segment import Segment
    from unbug.store.segment_writer import SegmentWriter

__all__ = ["ordered", "weave_rows", "weave_segments"]

WINDOW_ROWS, WINDOW_BYTES = 8192, 4 << 20
"""Small groups are packed together up to these; a group larger than either has blocks of its own."""


def ordered(rows: Rows) -> Rows:
    """The rows by group, training and phase, else as they came."""
    keys = rows.keys
    names = ("group", "training", "phase")
    if all(len(keys) < 2 or (keys[name][1:] == keys[name][:-1]).all() for name in names):
        return rows
    return rows.take(np.lexsort([keys[name] for name in reversed(names)]))


def thinned(rows: Rows) -> Rows:
    """Every second row of each group, training and phase, and always the first and the last."""
    keys = rows.keys
    change = np.zeros(len(keys), np.bool_)
    change[0] = True
    for name in ("group", "training", "phase"):
        change[1:] |= keys[name][1:] != keys[name][:-1]
    starts = np.flatnonzero(change)
    position = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    keep = position % 2 == 0
    keep[np.append(starts[1:], len(keys)) - 1] = True
    return rows.take(keep)


def _cut(rows: Rows, bounds: slice) -> Rows:
    return rows.take(np.arange(bounds.start, bounds.stop))


def _add(out: SegmentWriter, rows: Rows) -> Iterator[None]:
    """Append ordered rows in blocks that are neither long nor large."""
    if rows.blobs is None:
        size = block_rows(0 if rows.values is None else rows.values.shape[1])
        bounds = [*range(0, len(rows), size), len(rows)]
    else:
        behind = np.cumsum([len(blob) for blob in rows.blobs])
        change = np.flatnonzero(np.diff(behind // WINDOW_BYTES)) + 1
        bounds = [0, *change.tolist(), len(rows)]
    for first, last in pairwise(bounds):
        if last > first:
            whole = first == 0 and last == len(rows)
            out.add(rows if whole else _cut(rows, slice(first, last)))
            yield


def _windows(counts: NDArray[Any]) -> Iterator[tuple[int, int, bool]]:
    """`(first group, last group, large)`: neighbouring small groups together, each large one alone."""
    groups, starts = np.unique(counts["group"], return_index=True)
    rows, size = np.add.reduceat(counts["rows"], starts), np.add.reduceat(counts["bytes"], starts)
    first, taken, taken_bytes, last = -1, 0, 0, -1
    for group, have, have_bytes in zip(groups.tolist(), rows.tolist(), size.tolist(), strict=True):
        large = have >= WINDOW_ROWS or have_bytes >= WINDOW_BYTES
        if first >= 0 and (large or taken + have > WINDOW_ROWS or taken_bytes + have_bytes > WINDOW_BYTES):
            yield first, last, False
            first = -1
        if large:
            yield group, group, True
            continue
        if first < 0:
            first, taken, taken_bytes = group, 0, 0
        taken, taken_bytes, last = taken + have, taken_bytes + have_bytes, group
    if first >= 0:
        yield first, last, False


def weave_rows(out: SegmentWriter, rows: Rows) -> Iterator[None]:
    """Append rows of one width, in any order."""
    from unbug.store.blocks import counts_of

    rows = ordered(rows)
    groups = rows.keys["group"]
    for first, last, _ in _windows(counts_of(rows, 0 if rows.values is None else rows.values.shape[1])):
        low, high = int(np.searchsorted(groups, first)), int(np.searchsorted(groups, last, "right"))
        yield from _add(out, _cut(rows, slice(low, high)))


def weave_segments(out: SegmentWriter, segments: Sequence[Segment], *, thin: bool = False) -> Iterator[None]:
    """Append all rows of segments of one class, given in order of time.

    Full blocks of one group are copied as they are, with their levels, so that what is old is not encoded
    again.

    Raises:
        FormatError: a segment is damaged.
    """
    counts = np.concatenate([segment.counts for segment in segments]) if segments else np.zeros(0, COUNTS)
    out.dropped = sum(segment.dropped for segment in segments)
    for width in np.unique(counts["width"]).tolist():
        mine = counts[counts["width"] == width]
        mine = mine[np.argsort(mine["group"], kind="stable")]
        for first, last, large in _windows(mine):
            pending: list[Rows] = []
            for segment in segments:
                for block in _overlapping(segment, width, first, last):
                    if large and not thin and _full(segment, block, width):
                        yield from _flush(out, pending, width, everything=True)
                        _copy(out, segment, block)
                        yield
                        continue
                    rows = _of_groups(segment.rows(block), first, last)
                    if thin and len(rows):
                        before = len(rows)
                        rows = thinned(ordered(rows))
                        out.dropped += before - len(rows)
                    if len(rows):
                        pending.append(rows)
                    yield from _flush(out, pending, width, everything=False)
            yield from _flush(out, pending, width, everything=True)


def _flush(out: SegmentWriter, pending: list[Rows], width: int, *, everything: bool) -> Iterator[None]:
    have = sum(len(rows) for rows in pending)
    if pending and pending[0].blobs is not None:
        full = sum(len(blob) for rows in pending for blob in rows.blobs or ()) >= WINDOW_BYTES
    else:
        full = have >= block_rows(width)
    if (
        have
        and (everything or full)
        and (everything or pending[0].keys["group"][0] == pending[-1].keys["group"][-1])
    ):
        rows = Rows.concatenate(pending)
        pending.clear()
        if not everything and rows.blobs is None:
            keep = have // block_rows(width) * block_rows(width)
            if keep < have:
                pending.append(_cut(rows, slice(keep, have)))
                rows = _cut(rows, slice(0, keep))
        yield from _add(out, ordered(rows))


def _overlapping(segment: Segment, width: int, first: int, last: int) -> list[int]:
    index = segment.index
    mask = (index["width"] == width) & (index["group_first"] <= last) & (index["group_last"] >= first)
    return np.flatnonzero(mask).tolist()


def _of_groups(rows: Rows, first: int, last: int) -> Rows:
    groups = rows.keys["group"]
    if groups[0] >= first and groups[-1] <= last:
        return rows
    return _cut(rows, slice(int(np.searchsorted(groups, first)), int(np.searchsorted(groups, last, "right"))))


def _full(segment: Segment, block: int, width: int) -> bool:
    record = segment.index[block]
    return bool(record["levels"][0]) and int(record["rows"]) * 2 >= block_rows(width)


def _copy(out: SegmentWriter, segment: Segment, block: int) -> None:
    """Copy a block with its levels; its counts follow from the lowest level."""
    record = segment.index[block : block + 1]
    width = int(record["width"][0])
    lowest = segment.level(block, 0, LEVELS[0])
    top = [segment.level(block, column, LEVELS[-1]) for column in range(width)]
    pieces = [top[0].shared.tobytes(), *(one.values.tobytes() for one in top)]
    out.copy(segment.payload(block), record, pieces, _counts(lowest, record, width))


def _counts(lowest: Buckets, record: NDArray[Any], width: int) -> NDArray[Any]:
    training, phase, step_first, step_last, _, count = lowest.shared
    counts = np.zeros(len(lowest), COUNTS)
    counts["width"], counts["group"] = width, record["group_first"][0]
    counts["training"], counts["phase"] = training, phase
    counts["rows"], counts["bytes"] = count, count * 8 * width
    counts["step_min"], counts["step_max"] = step_first, step_last
    return counts
