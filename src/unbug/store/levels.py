"""Levels: rows reduced to buckets of neighbours, so that a long series is read without reading its rows.

A bucket never straddles two trainings or phases. Buckets of buckets are exact but for rounding of the mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from unbug.store.tail import Part

__all__ = [
    "LEVELS",
    "SHARED",
    "STATISTICS",
    "Buckets",
    "bucket_starts",
    "merge_buckets",
    "reduce_rows",
    "shared_of",
]

LEVELS = (64, 512, 4096)
"""Rows in a bucket of each level; each is eight times the one below."""
SHARED = ("training", "phase", "step_first", "step_last", "t_ns", "count")
STATISTICS = ("low", "high", "mean", "nonfinite")


class Buckets(NamedTuple):
    """`shared` is int64 `(6, buckets)`, rows as in `SHARED`; `values` is float64 `(4, buckets)` as in
    `STATISTICS`.

    low, high and mean are over the finite values and NaN where there are none.
    """

    shared: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.shared.shape[1])

    def where(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Buckets:
        """The buckets picked by a mask (or an order)."""
        return Buckets(self.shared[:, mask], self.values[:, mask])

    def later(self, shift_ns: int) -> Buckets:
        """The same with other times."""
        shared = self.shared.copy()
        shared[SHARED.index("t_ns")] += shift_ns
        return Buckets(shared, self.values)

    @staticmethod
    def concatenate(parts: Sequence[Buckets]) -> Buckets:
        """All buckets, in order."""
        if not parts:
            return Buckets(np.zeros((len(SHARED), 0), np.int64), np.zeros((len(STATISTICS), 0)))
        return Buckets(
            np.concatenate([part.shared for part in parts], axis=1),
            np.concatenate([part.values for part in parts], axis=1),
        )


def bucket_starts(training: NDArray[np.integer], phase: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    """First row of each bucket of at most `size` neighbours of one training and phase."""
    rows = len(training)
    if rows == 0:
        return np.zeros(0, np.int64)
    change = (training[1:] != training[:-1]) | (phase[1:] != phase[:-1])
    if not change.any():
        return np.arange(0, rows, size)
    runs = np.concatenate([[0], np.flatnonzero(change) + 1])
    position = np.arange(rows)
    position -= np.repeat(runs, np.diff(np.append(runs, rows)))
    return np.flatnonzero(position % size == 0)


def shared_of(part: Part, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The columns that the buckets of all series of a group have in common."""
    counts = np.diff(np.append(starts, len(part.step)))
    step = part.step
    return np.stack(
        [
            part.training[starts].astype(np.int64),
            part.phase[starts].astype(np.int64),
            np.minimum.reduceat(step, starts),
            np.maximum.reduceat(step, starts),
            part.t_ns[starts],
            counts,
        ]
    )


def reduce_rows(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """low, high, mean and number of non-finite values of each bucket, `(4, buckets)`."""
    finite = np.isfinite(values)
    counts = np.diff(np.append(starts, len(values)))
    if finite.all():
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        nonfinite, usable = np.zeros(len(starts)), counts
        shares = values / np.repeat(counts, counts)  # Divided first: sums of large values would overflow.
    else:
        low = np.fmin.reduceat(np.where(finite, values, np.nan), starts)
        high = np.fmax.reduceat(np.where(finite, values, np.nan), starts)
        nonfinite = np.add.reduceat(~finite, starts, dtype=np.float64)
        usable = counts - nonfinite.astype(np.int64)
        shares = np.where(finite, values, 0.0) / np.maximum(np.repeat(usable, counts), 1)
    mean = np.clip(np.add.reduceat(shares, starts), low, high)
    mean[usable == 0] = np.nan
    return np.stack([low, high, mean, nonfinite])


def merge_buckets(buckets: Buckets, starts: NDArray[np.int64]) -> Buckets:
    """Buckets of neighbouring buckets, beginning at `starts`."""
    if len(starts) == len(buckets):
        return buckets
    shared, (low, high, mean, nonfinite) = buckets.shared, buckets.values
    count = shared[5]
    total = np.add.reduceat(count, starts)
    finite = count - nonfinite
    finite_total = np.add.reduceat(finite, starts)
    sizes = np.diff(np.append(starts, len(count)))
    weight = finite / np.maximum(np.repeat(finite_total, sizes), 1)
    new_low, new_high = np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)
    new_mean = np.clip(np.add.reduceat(np.where(finite > 0, mean, 0.0) * weight, starts), new_low, new_high)
    return Buckets(
        np.stack(
            [
                shared[0, starts],
                shared[1, starts],
                np.minimum.reduceat(shared[2], starts),
                np.maximum.reduceat(shared[3], starts),
                shared[4, starts],
                total,
            ]
        ),
        np.stack([new_low, new_high, new_mean, np.add.reduceat(nonfinite, starts)]),
    )
