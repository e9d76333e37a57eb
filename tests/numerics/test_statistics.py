"""Derived statistics against numpy on the elements themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.numerics import derive, merge
from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS

elements = st.lists(
    st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, math.nan, math.inf, -math.inf]), max_size=60
)


def stored(values):
    x = np.asarray(values, dtype=np.float64)
    f = x[np.isfinite(x)]
    nan = math.nan
    return {
        "count": float(x.size),
        "mean": float(f.mean()) if f.size else nan,
        "m2": float(((f - f.mean()) ** 2).sum()) if f.size else nan,
        "min": float(f.min()) if f.size else nan,
        "max": float(f.max()) if f.size else nan,
        "zeros": float((x == 0).sum()),
        "nans": float(np.isnan(x).sum()),
        "infs": float(np.isinf(x).sum()),
        "saturated": float((np.abs(x) > 10).sum()),
    }


def expected(values):
    x = np.asarray(values, dtype=np.float64)
    f = x[np.isfinite(x)]
    n = x.size

    def share(mask):
        return float(mask.mean()) if n else math.nan

    return {
        "std": float(f.std()) if f.size else math.nan,
        "l2": float(np.linalg.norm(f)) if f.size else math.nan,
        "absmax": float(np.abs(f).max()) if f.size else math.nan,
        "zero_share": share(x == 0),
        "nan_share": share(np.isnan(x)),
        "inf_share": share(np.isinf(x)),
        "nonfinite_share": share(~np.isfinite(x)),
        "saturated_share": share(np.abs(x) > 10),
    }


@given(elements)
def test_each_derived_statistic_equals_the_one_of_the_elements(values):
    arrays = {name: np.array([value]) for name, value in stored(values).items()}
    want = expected(values)
    assert set(want) == set(DERIVED_STATISTICS)
    for name in DERIVED_STATISTICS:
        (got,) = derive(name, arrays)
        assert got == pytest.approx(want[name], rel=1e-9, abs=1e-9, nan_ok=True), name


@given(elements, elements)
def test_merging_two_parts_gives_the_statistics_of_the_whole(one, other):
    merged, whole = merge(stored(one), stored(other)), stored(one + other)
    assert tuple(merged) == STORED_STATISTICS
    for name in STORED_STATISTICS:
        assert merged[name] == pytest.approx(
            whole[name], rel=1e-9, abs=1e-3 if name == "m2" else 1e-6, nan_ok=True
        )


def test_missing_is_missing_and_not_zero():
    arrays = {name: np.array([np.nan]) for name in STORED_STATISTICS}
    assert all(np.isnan(derive(name, arrays)[0]) for name in DERIVED_STATISTICS)


def test_l2_of_large_values_does_not_overflow():
    arrays = {name: np.array([value]) for name, value in stored([1.0, 2.0]).items()} | {
        "mean": np.array([1e200])
    }
    assert np.isfinite(derive("l2", arrays))[0]


def test_an_unknown_statistic_is_named_with_those_there_are():
    with pytest.raises(KeyError, match=r"no derived statistic 'median'.*zero_share"):
        derive("median", {})
