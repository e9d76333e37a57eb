"""Statistics in chunks against numpy in float64."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unbug.numerics import CHUNK, Scratch, chunked, exponent_counts, merge, summarize
from unbug.types import STORED_STATISTICS

SCRATCH = Scratch()


def named(values, limits=None):
    return dict(zip(STORED_STATISTICS, summarize(chunked(values), SCRATCH, limits=limits), strict=True))


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_chunks_make_no_difference(size, kind):
    values = np.random.default_rng(size).normal(2.0, 5.0, size).astype(kind)
    found = named(values, (-3.0, 7.0))
    exact = values.astype(np.float64)
    assert found["mean"] == pytest.approx(exact.mean(), rel=1e-5)
    assert found["m2"] == pytest.approx(np.square(exact - exact.mean()).sum(), rel=1e-5)
    assert (found["min"], found["max"]) == (exact.min(), exact.max())
    assert found["saturated"] == ((exact <= -3) | (exact >= 7)).sum()


@given(arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32)), st.integers(0, 40))
def test_parts_merge_to_the_whole(values, cut):
    merged = merge(named(values[:cut]), named(values[cut:]))
    whole = named(values)
    for name in STORED_STATISTICS:
        scale = max((abs(float(one)) for one in values if np.isfinite(one)), default=0.0)
        slack = 1e-5 * scale * (max(len(values), 1) * scale if name == "m2" else 1)
        assert merged[name] == pytest.approx(whole[name], rel=1e-4, abs=slack, nan_ok=True), name


def test_the_second_pass_gives_back_what_cancels():
    values = (np.random.default_rng(0).normal(0, 1, 100_000) + 1e5).astype(np.float32)
    exact = values.astype(np.float64)
    assert named(values)["m2"] == pytest.approx(np.square(exact - exact.mean()).sum(), rel=1e-4)


@pytest.mark.parametrize("size", [1e-30, 1e-18, 1e19, 1e38])
def test_squares_beyond_float32(size):
    values = (np.random.default_rng(0).uniform(-1, 1, 500) * size).astype(np.float32)
    exact = values.astype(np.float64)
    assert named(values)["m2"] == pytest.approx(np.square(exact - exact.mean()).sum(), rel=1e-5)


def test_constant_arrays_do_not_vary():
    found = named(np.full(70_000, 0.1, dtype=np.float32))
    assert found["m2"] == pytest.approx(0, abs=1e-9)
    assert found["mean"] == pytest.approx(float(np.float32(0.1)))


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats()))
def test_exponents_are_those_of_frexp(values):
    first, counts, zeros, nonfinite = exponent_counts(values)
    assert zeros == (values == 0).sum() and nonfinite == (~np.isfinite(values)).sum()
    assert counts.sum() + zeros + nonfinite == values.size
    for value in values:
        if np.isfinite(value) and abs(value) >= np.finfo(np.float64).tiny:
            assert counts[math.frexp(value)[1] - 1 - first] > 0


def test_other_types_have_no_exponents():
    with pytest.raises(TypeError, match="float32 or float64, not int64"):
        exponent_counts(np.arange(3))
