"""How much of the target each feature of a small input explains alone, merged over batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_CLASSES", "Association"]

MOST_CLASSES = 64
_DIGITS = 7

Numbers = NDArray[np.float64]


class Association:
    """Sums over examples of features, target and their products; all about the means of the first batch.

    Args:
        features: Width of the input.
        classes: Of the target, at most `MOST_CLASSES`; 0 where it is numbers.
        columns: How many numbers the target of an example has.
    """

    def __init__(self, features: int, classes: int, columns: int = 1) -> None:
        self.features, self.classes, self.columns = features, classes, columns
        self.rows = self.batches = 0
        self._origin, self._target_origin = np.zeros(features), np.zeros(columns)
        self._count = np.zeros(max(classes, 1))
        self._sum = np.zeros((max(classes, 1), features))
        self._square, self._product = np.zeros(features), np.zeros((columns, features))
        self._target, self._target_square = np.zeros(columns), np.zeros(columns)

    def merge(self, table: Numbers, target: Numbers) -> None:
        """Take in a batch.

        Args:
            table: `(examples, features)`; a batch with values that are not finite is left out.
            target: `(examples, columns)`; class numbers (one column), or numbers.
        """
        if not (np.isfinite(table).all() and np.isfinite(target).all()):
            return
        if not self.batches:
            self._origin, self._target_origin = table.mean(0), target.mean(0)
        centred = table - self._origin
        self._square += (centred * centred).sum(0)
        if self.classes:
            numbers = target[:, 0].astype(np.int64)
            self._count += np.bincount(numbers, minlength=self.classes)
            np.add.at(self._sum, numbers, centred)
        else:
            wanted = target - self._target_origin
            self._count += len(table)
            self._sum += centred.sum(0)
            self._product += wanted.T @ centred
            self._target += wanted.sum(0)
            self._target_square += (wanted * wanted).sum(0)
        self.rows += len(table)
        self.batches += 1

    def explained(self) -> list[float | None]:
        """For each feature the share of variance that goes with the target: between classes, or the square
        of the correlation. Of several targets that which one feature explains best. None where feature or
        target do not vary."""
        if not self.rows:
            return [None] * self.features
        total = self._sum.sum(0)
        spread = self._square - total * total / self.rows
        scale = self._square / self.rows + self._origin * self._origin
        varies = spread > 1e-12 * self.rows * np.maximum(scale, 1e-30)
        safe = np.where(varies, spread, 1.0)
        if self.classes:
            some = self._count > 0
            if some.sum() < 2:
                return [None] * self.features
            between = (self._sum[some] ** 2 / self._count[some, None]).sum(0) - total * total / self.rows
            share = between / safe
        else:
            wanted = self._target_square - self._target * self._target / self.rows
            known = wanted > 1e-12 * np.maximum(self._target_square, 1e-30)
            if not known.any():
                return [None] * self.features
            together = self._product[known] - np.outer(self._target[known], total) / self.rows
            shares = together * together / (safe * wanted[known, None])
            share = shares[int(np.where(varies, shares, 0.0).max(1).argmax())]
        share = np.clip(share, 0.0, 1.0)
        return [
            float(f"{one:.{_DIGITS}g}") if known else None
            for one, known in zip(share.tolist(), varies.tolist(), strict=True)
        ]

    def fields(self) -> dict[str, Any]:
        """The `association` event."""
        return {
            "features": self.features,
            "classes": self.classes,
            "columns": self.columns,
            "classes_seen": int((self._count > 0).sum()) if self.classes else 0,
            "rows": self.rows,
            "batches": self.batches,
            "explained": self.explained(),
        }
