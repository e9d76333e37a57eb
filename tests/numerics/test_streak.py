"""Streaks against a scan in plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.numerics import first_streak


def scan(mask, patience):
    for start in range(len(mask) - patience + 1):
        if all(mask[start : start + patience]):
            return slice(start, start + patience)
    return None


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 8))
def test_equals_a_scan(mask, patience):
    assert first_streak(np.array(mask, dtype=bool), patience) == scan(mask, patience)


@given(st.lists(st.booleans(), max_size=40), st.lists(st.booleans(), max_size=10), st.integers(1, 8))
def test_later_rows_never_change_a_streak_that_was_found(mask, more, patience):
    found = first_streak(mask, patience)
    if found is not None:
        assert first_streak(mask + more, patience) == found


def test_a_missing_value_ends_the_streak():
    values = np.array([1.0] * 3 + [np.nan] + [1.0] * 4)
    assert first_streak(values >= 1, 4) == slice(4, 8)


@pytest.mark.parametrize(("mask", "patience"), [([True], 0), ([[True]], 1)])
def test_wrong_arguments_are_refused(mask, patience):
    with pytest.raises(ValueError, match=r"patience is at least 1|one dimension"):
        first_streak(np.array(mask), patience)
