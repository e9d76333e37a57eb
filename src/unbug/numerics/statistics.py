"""What readers compute from the stored statistics of a tensor, and how these merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS

__all__ = ["derive", "merge"]

Floats = NDArray[np.float64]
Stored = Mapping[str, NDArray[np.floating]]


def derive(statistic: str, stored: Stored) -> Floats:
    """Compute one statistic from the stored ones.

    Args:
        statistic: One of `types.DERIVED_STATISTICS`. `std` is that of the population (divided by the number
            of finite elements); shares are of `count`, all elements looked at.
        stored: Arrays of one shape by name of `types.STORED_STATISTICS`; those that the statistic does not
            need may be left out.
    Returns:
        float64 in that shape. NaN where there is nothing to compute from: no finite element for std, l2 and
        absmax, no element at all for shares.
    Raises:
        KeyError: the statistic is none of the derived ones, or one that it needs is not given.
    Source:
        l2**2 = m2 + n * mean**2, from m2 = sum((x - mean)**2).
    """
    if statistic not in DERIVED_STATISTICS:
        raise KeyError(f"no derived statistic {statistic!r}; there is {', '.join(DERIVED_STATISTICS)}")
    with np.errstate(all="ignore"):
        return _RECIPES[statistic](stored)


def merge(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Combine the stored statistics of two disjoint sets of elements, exactly but for rounding.

    Args:
        one, other: A value for each of `types.STORED_STATISTICS`.
    Returns:
        The statistics of the union. `saturated` is NaN unless both have it.
    Source:
        Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
        variances".
    """
    merged = {name: one[name] + other[name] for name in ("count", "zeros", "nans", "infs", "saturated")}
    n, m = (part["count"] - part["nans"] - part["infs"] for part in (one, other))
    if n == 0 or m == 0:
        kept = one if m == 0 else other
        merged.update({name: kept[name] for name in ("mean", "m2", "min", "max")})
    else:
        gap = other["mean"] - one["mean"]
        merged["mean"] = one["mean"] + gap * (m / (n + m))
        merged["m2"] = one["m2"] + other["m2"] + gap * gap * (n * m / (n + m))
        merged["min"], merged["max"] = min(one["min"], other["min"]), max(one["max"], other["max"])
    return {name: merged[name] for name in STORED_STATISTICS}


def _get(stored: Stored, name: str) -> Floats:
    return np.asarray(stored[name], dtype=np.float64)


def _finite(stored: Stored) -> Floats:
    left = _get(stored, "count") - _get(stored, "nans") - _get(stored, "infs")
    return np.where(left > 0, left, np.nan)


def _share(*names: str) -> Callable[[Stored], Floats]:
    def share(stored: Stored) -> Floats:
        count = _get(stored, "count")
        total: Floats = sum((_get(stored, name) for name in names), np.zeros_like(count))
        return total / np.where(count > 0, count, np.nan)

    return share


def _std(stored: Stored) -> Floats:
    return np.sqrt(np.maximum(_get(stored, "m2"), 0.0) / _finite(stored))


def _l2(stored: Stored) -> Floats:
    spread = np.sqrt(np.maximum(_get(stored, "m2"), 0.0))
    return np.hypot(spread, np.sqrt(_finite(stored)) * _get(stored, "mean"))


def _absmax(stored: Stored) -> Floats:
    finite = _finite(stored)
    return np.maximum(np.abs(_get(stored, "min")), np.abs(_get(stored, "max"))) + 0.0 * finite


_RECIPES: dict[str, Callable[[Stored], Floats]] = {
    "std": _std,
    "l2": _l2,
    "absmax": _absmax,
    "zero_share": _share("zeros"),
    "nan_share": _share("nans"),
    "inf_share": _share("infs"),
    "nonfinite_share": _share("nans", "infs"),
    "saturated_share": _share("saturated"),
}
