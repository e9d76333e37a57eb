"""Histograms as bytes: round trip, size, refusal of what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.numerics import decode_histogram, encode_histogram

counts = st.lists(st.integers(0, 2**40), max_size=300)


@given(st.integers(-1100, 1100), counts, st.integers(0, 2**50), st.integers(0, 2**50), st.integers(0, 2**50))
def test_what_was_packed_comes_back_at_the_same_exponents(first, bins, zeros, nonfinite, looked_at):
    packed = encode_histogram(first, bins, zeros, nonfinite, looked_at)
    seen = decode_histogram(packed, 3, 17)
    assert (seen.training, seen.step, seen.zeros, seen.nonfinite, seen.looked_at) == (
        3,
        17,
        zeros,
        nonfinite,
        looked_at,
    )
    want = {first + index: count for index, count in enumerate(bins) if count}
    assert {seen.first + index: count for index, count in enumerate(seen.counts) if count} == want
    if want:
        assert seen.counts[0] and seen.counts[-1]


@given(st.integers(-1100, 1100), counts)
def test_a_cut_histogram_is_refused_at_every_byte(first, bins):
    packed = encode_histogram(first, bins, 1, 2, 3)
    for cut in {0, 1, len(packed) // 2, len(packed) - 1}:
        with pytest.raises(ValueError, match=r"not a histogram|cut short"):
            decode_histogram(packed[:cut], 0, 0)


def test_a_typical_weight_takes_a_few_dozen_bytes():
    assert len(encode_histogram(-20, [3**k % 5000 for k in range(24)], 0, 0, 100_000)) < 70


def test_a_negative_count_and_a_newer_version_are_refused():
    with pytest.raises(ValueError, match="no negative counts"):
        encode_histogram(0, [-1, 1], 0, 0, 0)
    with pytest.raises(ValueError, match="version 1"):
        decode_histogram(b"\x02\x00", 0, 0)
