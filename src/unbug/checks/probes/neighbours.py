"""Are examples of the evaluation near copies of examples of the training?

A copy with a little noise lies far nearer than anything else does: the nearest neighbour is a copy where the
tenth one is many times as far away, and hardly any example is in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.rows import nearest, rows_of, scaled
from unbug.checks.probes.subject import Subject

__all__ = ["NEAR", "neighbours"]

NEAR, MIDDLE = 0.15, 0.45
"""An example whose nearest neighbour is nearer than this part of its tenth one is a near copy; and the part
up to which it would be neither a copy nor apart, where copies are none but the data is dense."""
_LEAST_ROWS, _TENTH = 50, 10


def neighbours(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Compare the distance from evaluation to training with that inside training.

    Returns:
        `rows`, `evaluated_rows`, `columns`, `distinct_columns` (that are not constant); `near_share` of the
        evaluation's examples are near copies of kept ones of training, `middle_share` lie between; the same
        of training's examples among themselves with `_inside`; `equal_share` have an exact one; `ratio` of
        the median distances; `again` (share of training rows that came more than once).
    Raises:
        NotPossible: too few rows of numbers were kept of either.
    """
    rows = rows_of(subject.kept.small, targets=False)
    other = rows_of(subject.kept.evaluated, targets=False)
    if min(len(rows), len(other)) < _LEAST_ROWS or rows.values.shape[1] != other.values.shape[1]:
        raise NotPossible("too few examples of training or evaluation were kept")
    table, given = scaled(rows.values, rows.values), scaled(other.values, rows.values)
    _, inside = nearest(table, table, _TENTH, clock, same=True)
    _, across = nearest(given, table, _TENTH, clock, same=False)
    typical = float(np.median(inside[:, 0]))
    if typical <= 0 or float(np.median(inside[:, -1])) <= 0:
        raise NotPossible("most examples of training are there twice")
    near, middle, exact = _shares(across)
    near_inside, middle_inside, _ = _shares(inside)
    return {
        "rows": len(rows),
        "evaluated_rows": len(other),
        "columns": int(table.shape[1]),
        "distinct_columns": int((table.std(0) > 0).sum()),
        "near_share": near,
        "middle_share": middle,
        "near_share_inside": near_inside,
        "middle_share_inside": middle_inside,
        "equal_share": exact,
        "ratio": float(np.median(across[:, 0])) / typical,
        "again": rows.again,
    }


def _shares(apart: NDArray[np.float64]) -> tuple[float, float, float]:
    """Shares of near copies, of what lies between, and of exact copies."""
    tenth = np.maximum(apart[:, -1], 1e-12)
    part = apart[:, 0] / tenth
    exact = part <= 1e-6
    near = (part < NEAR) & ~exact
    return float(near.mean()), float(((part >= NEAR) & (part < MIDDLE)).mean()), float(exact.mean())
