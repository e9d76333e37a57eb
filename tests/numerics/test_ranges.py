"""Shares of lost numbers, from exponents alone, against torch's own conversions."""

import math

import numpy as np
import pytest
import torch

from unbug.numerics import (
    NARROW_TYPES,
    decode_histogram,
    encode_histogram,
    exponent_counts,
    range_shares,
)


def histogram(values):
    counts = exponent_counts(values)
    return decode_histogram(encode_histogram(*counts, values.size), 0, 0)


@pytest.mark.parametrize("kind", NARROW_TYPES)
@pytest.mark.parametrize("scale", [-40, -20, -8, 0, 8, 20, 130])
def test_what_conversion_does(kind, scale):
    # Mantissas well inside their bin, so that rounding takes none over the edge of one.
    random = np.random.default_rng(0)
    values = random.uniform(1.1, 1.7, 20_000) * 2.0 ** random.integers(scale - 12, scale + 12, 20_000)
    values[::7] = 0
    found = range_shares(histogram(values), kind)
    wide = torch.from_numpy(values)
    finite = torch.finfo(getattr(torch, kind))
    overflow = (wide.abs() > finite.max).double().mean().item()
    narrow = wide.clamp(-finite.max, finite.max).float().to(getattr(torch, kind)).double()
    lost = ((narrow == 0) & (wide != 0)).double().mean().item()
    assert found.underflow == pytest.approx(lost)
    assert found.overflow == pytest.approx(overflow)
    small = ((narrow != 0) & (wide.abs() < finite.tiny)).double().mean().item()
    assert found.subnormal == pytest.approx(small)


def test_what_lies_at_the_edges():
    smallest = 2.0**-24
    for value, under in ((smallest, 0), (smallest * 0.75, 0), (smallest * 0.49, 1)):
        assert range_shares(histogram(np.array([value])), "float16").underflow == under
    for value, over in ((65504.0, 0), (65536.0, 1)):
        assert range_shares(histogram(np.array([value])), "float16").overflow == over


def test_nothing_looked_at():
    found = range_shares(histogram(np.array([], dtype=np.float32)), "float16")
    assert all(math.isnan(share) for share in (found.underflow, found.subnormal, found.overflow))


def test_an_unknown_type():
    with pytest.raises(KeyError, match="no range of 'float4' is known; there is float16"):
        range_shares(histogram(np.ones(3)), "float4")
