"""From parts of rows, or from levels, to what a reader hands out: points and curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.contract import Curve, Points
from unbug.store.levels import LEVELS, Buckets, bucket_starts, merge_buckets, reduce_rows, shared_of
from unbug.store.series_index import Column
from unbug.store.superseded import Cut, kept
from unbug.store.tail import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.source import Source

__all__ = ["curve_of", "filtered", "points_of"]


def filtered(part: Part, members: NDArray[np.int32] | None, start: int | None, stop: int | None) -> Part:
    """The rows of these trainings with `start <= step < stop`."""
    mask: NDArray[np.bool_] | None = None
    if members is not None:
        mask = part.training == members[0] if len(members) == 1 else np.isin(part.training, members)
    if start is not None:
        mask = part.step >= start if mask is None else mask & (part.step >= start)
    if stop is not None:
        mask = part.step < stop if mask is None else mask & (part.step < stop)
    if mask is None or mask.all():
        return part
    columns: tuple[Any, ...] = part
    return Part(*(column[mask] for column in columns))


def _ordered(*keys: NDArray[Any]) -> NDArray[np.int64] | None:
    """The order that sorts by these keys, the first one foremost; None if they are in order already."""
    in_order: NDArray[np.bool_] | None = (
        None  # of row i + 1 against row i, by the keys behind the current one
    )
    for key in reversed(keys):
        after, before = key[1:], key[:-1]
        in_order = after >= before if in_order is None else (after > before) | ((after == before) & in_order)
    if in_order is None or in_order.all():
        return None
    return np.lexsort(keys[::-1])


def points_of(
    parts: Sequence[tuple[Source, Part]], unfold: Callable[[NDArray[Any]], NDArray[np.int64]]
) -> Points:
    """All rows in the order of attempt, training, step, micro, time."""

    def column(name: str, dtype: Any) -> NDArray[Any]:
        arrays = [getattr(part, name) for _, part in parts]
        joined = np.concatenate(arrays) if len(arrays) != 1 else arrays[0]
        return joined.astype(dtype)

    sizes = [len(part.step) for _, part in parts]
    attempt = np.repeat(np.array([source.attempt for source, _ in parts], np.int16), sizes)
    rank = np.repeat(np.array([source.rank for source, _ in parts], np.int16), sizes)
    if not parts:
        none = np.zeros(0, np.int64)
        return Points(training=none, step=none, micro=none, phase=none.astype(np.int8), t_ns=none,
                      user_step=np.zeros(0), attempt=attempt, rank=rank, values=np.zeros(0))  # fmt: skip
    arrays = {
        "training": unfold(column("training", np.int64)),
        "step": column("step", np.int64),
        "micro": column("micro", np.int64),
        "phase": column("phase", np.int8),
        "t_ns": column("t_ns", np.int64),
        "user_step": column("user_step", np.float64),
        "attempt": attempt,
        "rank": rank,
        "values": column("values", np.float64),
    }
    order = _ordered(attempt, arrays["training"], arrays["step"], arrays["micro"], arrays["t_ns"])
    if order is not None:
        arrays = {name: array[order] for name, array in arrays.items()}
    return Points(**arrays)


def buckets_of(part: Part, size: int) -> Buckets:
    """Buckets of at most `size` neighbouring rows."""
    starts = bucket_starts(part.training, part.phase, size)
    return Buckets(shared_of(part, starts), reduce_rows(part.values, starts))


def curve_of(
    where: Sequence[tuple[Column, Cut, int]],
    *,
    points: int,
    members: NDArray[np.int32] | None,
    start: int | None,
    stop: int | None,
) -> Curve:
    """About `points` buckets of a series; from levels where there are many rows.

    Args:
        where: Each column with what of it is superseded, and what to add to its times.
    """
    points = max(points, 1)
    rows = sum(one.source.rows_of(one.group, members, start, stop) for one, _, _ in where)
    size = max((level for level in LEVELS if rows / level >= points / 2), default=1)
    found: list[Buckets] = []
    for column, cut, shift in where:
        for piece in _pieces(column, cut, start, stop, size):
            if isinstance(piece, Buckets):
                some = piece if members is None else piece.where(np.isin(piece.shared[0], members))
            else:
                part = filtered(piece, members, start, stop)
                if not len(part.step):
                    continue
                some = buckets_of(part, size)
            found.append(some.later(shift) if shift else some)
    buckets = Buckets.concatenate(found)
    training, step = buckets.shared[0], buckets.shared[2]
    order = _ordered(training, step)
    if order is not None:
        buckets = buckets.where(order)
    buckets = _thin(buckets, points)
    shared, values = buckets.shared, buckets.values
    return Curve(
        step_first=shared[2],
        step_last=shared[3],
        t_ns=shared[4],
        low=values[0],
        high=values[1],
        mean=values[2],
        count=shared[5],
        nonfinite=values[3].astype(np.int64),
        exact=bool((shared[5] == 1).all()),
    )


def _pieces(
    where: Column, cut: Cut, start: int | None, stop: int | None, size: int
) -> Iterator[Part | Buckets]:
    """Buckets and rows of a series in order of writing, without what a later attempt took the place of."""
    source, group, column = where
    if not cut:
        yield from source.pieces(group, column, start, stop, size=size)
        return
    low = min(cut.values())  # From here on row by row: where it ends differs by training.
    below = low if stop is None else min(stop, low)
    for piece in source.pieces(group, column, start, below, size=size):
        yield piece if isinstance(piece, Buckets) else filtered(piece, None, start, below)
    above = low if start is None else max(start, low)
    for part in source.parts(group, column, above, stop):
        yield kept(filtered(part, None, above, stop), cut)


def _thin(buckets: Buckets, points: int) -> Buckets:
    """Merge neighbours of one training until there are about `points`, of about equal numbers of rows."""
    if len(buckets) <= points:
        return buckets
    count = buckets.shared[5]
    behind = np.cumsum(count)
    number = (behind - count) * points // behind[-1]
    change = (number[1:] != number[:-1]) | (buckets.shared[0, 1:] != buckets.shared[0, :-1])
    return merge_buckets(buckets, np.concatenate([[0], np.flatnonzero(change) + 1]))
