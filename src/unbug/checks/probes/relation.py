"""Is there any relation between rows and targets? Asked of several views of the rows, with a test by chance.

Every view becomes kernels; kernel ridge regression leaves out each row in turn, in closed form; and what it
predicts is compared with what it predicts of the same targets in other orders. Without a relation both are
alike, whatever the number of columns, rows and classes.

Source: Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", section 7.10, for
    leaving out one row without fitting again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbug.checks.probes.contract import Clock

__all__ = ["DRAWS", "MOST_ROWS", "Relation", "columns_of", "relation"]

MOST_ROWS = 384
"""Rows that are compared."""
DRAWS = 40
"""Orders by chance."""
_RIDGES = (0.03, 1.0)
_MOST_COLUMNS = 16

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Relation:
    """What the best view says.

    Args:
        errors: How far it is above chance, in standard deviations of chance; NaN if nothing varies.
        by_chance: The most that the orders by chance reached, 19 of 20 of them.
        correlation: Of left-out targets and their predictions.
        accuracy: For classes, the share of left-out rows that are predicted right; else NaN.
        transfer: The same of other rows, which the kept ones predict; NaN where there are none.
        transfer_errors: That above chance, in standard deviations of chance.
        view: Which view it is, by number.
    """

    errors: float
    by_chance: float
    correlation: float
    accuracy: float
    transfer: float
    transfer_errors: float
    view: int


def columns_of(targets: Floats) -> Floats:
    """Targets with mean 0 and all columns alike; of many columns their strongest directions.

    Args:
        targets: `(rows, columns)`.
    Returns:
        `(rows, columns)`, at most 16; no columns if nothing varies.
    """
    centred = targets - targets.mean(0)
    centred = centred[:, centred.std(0) > 1e-9]
    if centred.shape[1] > _MOST_COLUMNS:
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        centred = (left * values)[:, :_MOST_COLUMNS]
    scale = centred.std(0)
    made: Floats = centred[:, scale > 1e-9] / scale[scale > 1e-9]
    return made


def relation(
    views: Sequence[Floats], targets: Floats, clock: Clock, draw: np.random.Generator, *,
    classes: NDArray[np.int64] | None = None, others: Sequence[Floats] = (),
    other_classes: NDArray[np.int64] | None = None,
) -> Relation:  # fmt: skip
    """Compare what the views tell of the targets with what they tell of the same targets in other orders.

    Args:
        views: Each `(rows, columns)`, scaled.
        targets: `(rows, columns)`, as `columns_of` gives them.
        draw: For the orders by chance.
        classes: `(rows,)`, if the targets are classes.
        others: Other rows in the same views, with their classes in `other_classes`.
    """
    count = len(targets)
    orders = np.stack([draw.permutation(count) for _ in range(DRAWS)])
    every = np.concatenate([targets[None], targets[orders]]).transpose(1, 0, 2).reshape(count, -1)
    best: tuple[float, float, float, float, float, int] | None = None
    highest = np.full(DRAWS, -np.inf)
    for number, view in enumerate(views):
        other = others[number] if others else None
        for kernel, across in _kernels(view, other):
            for ridge in _RIDGES:
                clock.check()
                inverse = np.linalg.inv(kernel + ridge * np.trace(kernel) / count * np.eye(count))
                fitted = every - (inverse @ every) / np.diag(inverse)[:, None]
                pairs = (fitted * every).reshape(count, DRAWS + 1, -1)
                sizes = np.sqrt((fitted * fitted).reshape(count, DRAWS + 1, -1).mean((0, 2))) + 1e-12
                found = pairs.mean((0, 2)) / sizes
                spread = float(found[1:].std()) + 1e-12
                errors = (found - found[1:].mean()) / spread
                highest = np.maximum(highest, errors[1:])
                if best is None or errors[0] > best[0]:
                    right = transfer = sure = np.nan
                    if classes is not None:
                        codes = _codes(classes)
                        weights = inverse @ codes
                        left_out = codes - weights / np.diag(inverse)[:, None]
                        right = float((left_out.argmax(1) == classes).mean())
                        if across is not None and other_classes is not None:
                            told = (across @ weights + classes_share(classes)).argmax(1)
                            transfer = float((told == other_classes).mean())
                            sure = _above_chance(across @ inverse, codes, orders, transfer, other_classes)
                    best = (float(errors[0]), float(found[0]), float(right), float(transfer), sure, number)
    if best is None:
        return Relation(np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, -1)
    return Relation(best[0], float(np.quantile(highest, 0.95)), *best[1:])


def classes_share(classes: NDArray[np.int64]) -> Floats:
    """Share of each class."""
    counts = np.bincount(classes)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _above_chance(
    weights: Floats, codes: Floats, orders: NDArray[np.int64], right: float, wanted: NDArray[np.int64]
) -> float:
    """Right answers above those that the kept classes in other orders give, in deviations of these."""
    shares = classes_share(codes.argmax(1))
    found = [((weights @ codes[order] + shares).argmax(1) == wanted).mean() for order in orders]
    return float((right - np.mean(found)) / (np.std(found) + 1e-12))


def _codes(classes: NDArray[np.int64]) -> Floats:
    """A column for each class, with mean 0."""
    codes = np.eye(int(classes.max()) + 1)[classes]
    return np.asarray(codes - codes.mean(0), dtype=np.float64)


def _kernels(view: Floats, other: Floats | None) -> Iterable[tuple[Floats, Floats | None]]:
    """A linear kernel and two of distance, with mean 0; and the same across to other rows."""
    lengths = (view * view).sum(1)
    products = view @ view.T
    squares = np.maximum(lengths[:, None] + lengths[None] - 2 * products, 0.0)
    across = away = None
    if other is not None and len(other):
        across = other @ view.T
        away = np.maximum((other * other).sum(1)[:, None] + lengths[None] - 2 * across, 0.0)
    yield _centred(products, across)
    middle = float(np.median(squares))
    near = float(np.median(np.partition(squares, min(5, len(view) - 1), axis=1)[:, min(5, len(view) - 1)]))
    for width in (middle, near):
        if width > 1e-12:
            yield _centred(np.exp(-squares / width), None if away is None else np.exp(-away / width))


def _centred(kernel: Floats, across: Floats | None) -> tuple[Floats, Floats | None]:
    means, whole = kernel.mean(0), kernel.mean()
    made = kernel - means[None] - means[:, None] + whole
    if across is None:
        return made, None
    return made, across - across.mean(1, keepdims=True) - means[None] + whole
