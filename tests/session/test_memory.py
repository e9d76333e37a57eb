"""The slope of memory agrees with scipy's, growth is told with its size, and level memory is not."""

import random
from itertools import pairwise

import pytest
from scipy.stats import theilslopes

from unbug.session.memory import MemoryTrend, robust_slope


@pytest.mark.parametrize("seed", range(5))
def test_slopes_agree_with_scipy(seed):
    draw = random.Random(seed)
    x = sorted(draw.sample(range(10_000), 60))
    y = [3e3 * one + draw.gauss(0, 1e6) for one in x]
    y[7] += 1e9
    slope, low, high = robust_slope(x, y)
    want = theilslopes(y, x, alpha=0.95)
    assert slope == pytest.approx(want.slope)
    assert low == pytest.approx(want.low_slope, rel=0.02) and high == pytest.approx(want.high_slope, rel=0.02)
    assert low < 3e3 < high


def test_samples_at_one_step_have_no_slope():
    assert robust_slope([4.0] * 20, list(range(20))) is None


def follow(memory, steps=400, *, training=lambda step: 0):
    told, now = [], [0]
    trend = MemoryTrend(lambda: float(memory(now[0])), lambda *event: told.append(event))
    for step in range(steps):
        now[0] = step
        trend.look((training(step), step + 5, 0, 2))
    return trend, told


def test_growth_is_told_with_its_size_and_again_when_it_doubled():
    trend, told = follow(lambda step: 5e8 + 1e6 * step + 3e5 * (step % 5))
    fields, training, step = told[0]
    assert training == 0 and step <= 5 + 32
    assert fields["bytes_per_step"] == pytest.approx(1e6, rel=0.1)
    assert fields["bytes_per_step_low"] <= fields["bytes_per_step"] <= fields["bytes_per_step_high"]
    grown = [one["rss_bytes"] - one["rss_start_bytes"] for one, _, _ in told]
    assert all(after >= 2 * before for before, after in pairwise(grown))
    assert 4 <= len(told) <= 6 and len(trend._samples) <= 128


def test_level_memory_and_one_jump_are_not_growth():
    draw = random.Random(0)
    assert follow(lambda step: 5e8 + draw.gauss(0, 4e6))[1] == []
    assert follow(lambda step: 5e8 + (1e8 if step > 5 else 0))[1] == []


def test_a_new_training_begins_anew():
    _, told = follow(lambda step: 5e8 + 2e7 * (step // 10), 100, training=lambda step: step // 10)
    assert told == []


def test_no_steps_no_samples():
    trend = MemoryTrend(lambda: pytest.fail("asked"), lambda *event: pytest.fail("told"))
    for _ in range(50):
        trend.look((-1, -1, 0, 2))
