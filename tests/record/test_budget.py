"""The budget in simulated time: what is spent, how often dear looks come, that nothing starves."""

import random
from collections import Counter

import pytest

from unbug.record.budget import AWAKE_FIRST, DEAR, FULL_STEPS, Budget, Item, Rotation
from unbug.record.cost import Blocks, interval


def simulate(costs, step_ns, steps, *, base_ns=0.0, share=0.02, jitter=0.1, allowance_ns=0.0, every=None):
    """Steps that take about `step_ns`, items that cost what they cost; returns time spent in each step."""
    draw = random.Random(0)
    budget, rotation = Budget(share, allowance_ns=allowance_ns, every=every), Rotation()
    rotation.add(Item("weight", index) for index in range(len(costs)))
    spent_in, looks = [], Counter()
    for step in range(steps):
        if budget.wants_full(rotation, step):
            items, allowed = rotation.items, budget.allowance_ns > 0
        else:
            items, allowed = budget.plan(rotation, step)
        spent = base_ns
        for item in items:
            took = costs[item.key] * draw.uniform(1 - jitter, 1 + jitter)
            item.measured(took)
            looks[item.key] += 1
            spent += took
        if not items:
            budget.lean(spent)
        budget.passed(step_ns * draw.uniform(1 - jitter, 1 + jitter), spent)
        if allowed:
            budget.from_allowance(spent)
        spent_in.append(spent)
    return spent_in, looks, budget


@pytest.mark.parametrize(
    ("costs", "step_ns"),
    [
        ([20e3] * 10 + [100e3] * 3, 4e6),
        ([15e3] * 60 + [1e6] * 20 + [2.5e6] * 4, 150e6),
        ([30e3] * 18, 0.3e6),
        ([8e6, 40e6, 10e3], 20e6),
    ],
    ids=["mlp", "resnet", "tiny", "huge layer"],
)
def test_the_share_is_kept_and_dear_looks_stay_above_the_99th_percentile(costs, step_ns):
    spent, looks, _ = simulate(costs, step_ns, 20_000, base_ns=0.004 * step_ns)
    late = spent[1000:]
    assert sum(late) <= 0.0205 * step_ns * len(late) * 1.02
    dear = sum(one > (DEAR + 0.01) * step_ns for one in late)
    assert dear <= 0.005 * len(late)
    assert sorted(late)[int(0.99 * len(late))] <= 0.09 * step_ns
    if costs[0] < 1e6:
        assert set(looks) == set(range(len(costs)))
        assert min(looks.values()) >= 2


def test_cheap_things_come_more_often_and_none_starves():
    _, looks, _ = simulate([10e3] * 5 + [90e3] * 5, 2e6, 20_000)
    cheap, dear = (sum(looks[index] for index in part) for part in (range(5), range(5, 10)))
    assert 1.5 < cheap / dear < 6
    assert max(looks[index] for index in range(5)) < 1.5 * min(looks[index] for index in range(5))


def test_a_program_too_fast_for_any_look_still_gets_some():
    spent, looks, _ = simulate([50e3] * 10, 0.2e6, 40_000, base_ns=0.03 * 0.2e6)
    assert sum(looks.values()) >= 20
    assert sum(spent[100:]) - 40_000 * 6e3 < 0.005 * 0.2e6 * 40_000


def test_first_steps_are_full_while_the_allowance_lasts():
    spent, _, budget = simulate([1e6] * 10, 50e6, 200, allowance_ns=1e9)
    assert all(one >= 9e6 for one in spent[:FULL_STEPS])
    assert budget.allowance_ns >= -20e6


def test_a_dear_model_spreads_the_allowance_over_the_first_steps():
    spent, _, _ = simulate([100e6] * 10, 5e9, 60, allowance_ns=1e9)
    assert spent[0] > 0
    assert 0.5e9 <= sum(spent[:FULL_STEPS]) <= 2.2e9


def test_every_forces_all():
    spent, _, _ = simulate([1e6] * 5, 1e6, 101, every=25)
    assert [index for index, one in enumerate(spent) if one > 4e6][-4:] == [25, 50, 75, 100]


def test_a_look_that_was_interrupted_is_not_believed():
    item = Item("weight", 0)
    for took in (900e3, 100e3, 110e3, 105e3, 50e6, 100e3):
        item.measured(took)
    assert item.cost_ns < 160e3


def test_sleep_begins_where_a_step_without_a_look_is_too_dear():
    def after(base_ns, step_ns):
        _, _, budget = simulate([], step_ns, AWAKE_FIRST)
        for _ in range(200):
            budget.lean(base_ns)
        return budget.sleep()

    assert after(20e3, 40e6) == 0
    naps = after(20e3, 0.2e6)
    assert naps > 0
    assert 20e3 / (naps + 1) <= 0.02 * 0.2e6


def test_blocks_measure_a_cost_that_is_there():
    draw = random.Random(1)
    blocks = Blocks(random.Random(2))
    for _ in range(40_000):
        took = 4e6 * draw.uniform(0.95, 1.05) * (1.0 if blocks.unwatched else 1.03)
        blocks.step(took * (40 if draw.random() < 0.001 else 1), 4e6)
    middle, low, high = interval(blocks.ratios, random.Random(3))
    assert low <= 1.03 <= high and high - low < 0.01 and middle == pytest.approx(1.03, abs=0.003)
    assert 0.04 < blocks.steps_unwatched / 40_000 < 0.25


def test_an_interval_needs_five_pairs():
    assert interval([1.0] * 4, random.Random(0)) is None
