"""Statistics of each feature of a small input, so that an unscaled or constant one is seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from unbug.record.tensors import local, reason_unseen

__all__ = ["MOST_FEATURES", "Features", "feature_sums"]

MOST_FEATURES = 256
_ELEMENTS, _DIGITS = 65_536, 7


class Features:
    """Count, mean, squared deviations, extremes and damage of each feature, merged exactly over batches."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        count = math.prod(shape)
        self.rows = self.looks = 0
        self.finite, self.mean, self.m2 = np.zeros(count), np.zeros(count), np.zeros(count)
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.nans, self.infs = np.zeros(count), np.zeros(count)

    def merge(self, rows: int, sums: list[float]) -> None:
        """Take in one batch, as `feature_sums` gave it."""
        finite, mean, m2, low, high, nans, infs = np.asarray(sums, dtype=np.float64).reshape(7, -1)
        mean = np.where(finite > 0, mean, 0.0)
        together = self.finite + finite
        share = np.divide(finite, together, out=np.zeros_like(finite), where=together > 0)
        gap = mean - self.mean
        self.m2 += m2 + gap * gap * self.finite * share
        self.mean += gap * share
        self.finite = together
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)
        self.nans += nans
        self.infs += infs
        self.rows += rows
        self.looks += 1

    def fields(self) -> dict[str, Any]:
        """The `input_features` event; null where no value was finite."""
        some = self.finite > 0
        std = np.sqrt(np.divide(self.m2, self.finite, out=np.zeros_like(self.m2), where=some))
        return {
            "features": len(some),
            "shape": list(self.shape),
            "rows": self.rows,
            "batches": self.looks,
            "mean": _listed(self.mean, some),
            "std": _listed(std, some),
            "min": _listed(self.low, some),
            "max": _listed(self.high, some),
            "nan_share": _listed(self.nans / max(self.rows, 1), None),
            "inf_share": _listed(self.infs / max(self.rows, 1), None),
        }


def feature_sums(tensor: torch.Tensor) -> tuple[tuple[int, ...], int, torch.Tensor] | None:
    """Queue the sums of one batch on its device.

    Returns:
        Shape of an example; number of examples; `(7 * features,)`: finite values, their mean, sum of squared
        deviations, min and max, then NaNs and infinities. None where the input has no features of this kind.
    """
    tensor = local(tensor)
    if reason_unseen(tensor) or not tensor.is_floating_point() or not tensor.dim() or not len(tensor):
        return None
    shape = tuple(tensor.shape[1:])
    if not 0 < math.prod(shape) <= MOST_FEATURES:
        return None
    with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
        rows = min(len(tensor), max(1, _ELEMENTS // math.prod(shape)))
        values = tensor.detach().narrow(0, 0, rows)
        values = values.reshape(len(values), -1).double()
        nan, inf = torch.isnan(values), torch.isinf(values)
        finite = torch.logical_or(nan, inf).logical_not()
        counts = finite.sum(0, dtype=torch.float64)
        mean = torch.where(finite, values, 0).sum(0) / counts
        gaps = torch.where(finite, values - mean, 0)
        sums = [
            counts,
            mean,
            (gaps * gaps).sum(0),
            torch.where(finite, values, math.inf).amin(0),
            torch.where(finite, values, -math.inf).amax(0),
            nan.sum(0, dtype=torch.float64),
            inf.sum(0, dtype=torch.float64),
        ]
        return shape, len(values), torch.cat(sums)


def _listed(values: np.ndarray, known: np.ndarray | None) -> list[float | None]:
    numbers = [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
    if known is None:
        return list(numbers)
    return [number if there else None for number, there in zip(numbers, known.tolist(), strict=True)]
