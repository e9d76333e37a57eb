"""Numbers of a device: gathered, fetched together, lost where the program overwrites them.

No device is at hand where these tests run. What is queued for one runs on any tensor, and `far` has the
recorder take all tensors for ones that lie on a device.
"""

import math
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unbug.record.gathered import MOST, Gathered
from unbug.record.rows import Later


@pytest.fixture
def far(monkeypatch):
    for name, module in list(sys.modules.items()):
        if name.startswith("unbug.record.") and hasattr(module, "at_hand"):
            monkeypatch.setattr(module, "at_hand", lambda tensor: False)


def gathered():
    return Gathered(lambda vector: Later(vector, list))


def test_numbers_of_several_types_arrive_together():
    some = gathered()
    tensors = [torch.tensor(1.5 + number, dtype=kind) for number, kind in enumerate(
        (torch.float32, torch.float64, torch.float16, torch.bfloat16))]  # fmt: skip
    numbers = [some.take(tensor) for tensor in tensors]
    some.poll()
    assert not any(number.known for number in numbers)
    some.poll(wait=True)
    assert [float(number) for number in numbers] == [1.5, 2.5, 3.5, 4.5]
    assert not any(number.lost for number in numbers)


def test_enough_numbers_are_fetched_without_being_asked_for(monkeypatch):
    some = gathered()
    numbers = [some.take(torch.tensor(float(number))) for number in range(MOST)]
    assert some.due
    some.poll()
    assert not numbers[0].known
    monkeypatch.setattr(Later, "polls", Later.polls + 10)
    some.poll()
    assert [number.value for number in numbers] == list(range(MOST)) and not some.due


def test_a_number_that_is_changed_in_place_is_lost_and_later_ones_are_copied():
    some = gathered()
    first, tensor = torch.tensor(1.0), torch.tensor(2.0)
    kept, changed = some.take(first), some.take(tensor)
    tensor += 5
    some.poll(wait=True)
    assert kept.value == 1.0 and changed.lost and math.isnan(changed.value)
    again = some.take(tensor)
    tensor += 1
    some.poll(wait=True)
    assert again.value == 7.0 and not again.lost


def test_numbers_written_into_one_place_are_copied():
    some, place = gathered(), torch.zeros(1)
    numbers = []
    for step in range(4):
        place.data.copy_(torch.tensor([float(step)]))  # raises no version, like a graph that is replayed
        numbers.append(some.take(place))
        assert some.take(place) is numbers[-1] or step
        some.turn += 1
    some.poll(wait=True)
    assert numbers[0].lost and [number.value for number in numbers[1:]] == [1.0, 2.0, 3.0]


def test_no_large_memory_is_held():
    some, large = gathered(), torch.arange(5000.0)
    number = some.take(large[7])
    assert some._held[0].tensor.untyped_storage().nbytes() < 100
    some.poll(wait=True)
    assert number.value == 7.0


def test_what_has_no_value_is_lost():
    some = gathered()
    assert some.take(torch.empty((), device="meta")).lost
    for _ in range(2000):
        last = some.take(torch.zeros(()))
    assert last.lost and len(some._held) <= 1024


def train(steps, *, clear=True, scaler=None, step_of=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    told = []
    for _ in range(steps):
        if clear:
            optimizer.zero_grad()
        loss = F.mse_loss(net(torch.randn(4, 6)), torch.randn(4, 3))
        told.append(loss.item())
        (loss if scaler is None else scaler.scale(loss)).backward()
        if step_of is not None:
            step_of(net)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
    return told


def seen(record, **how):
    with record(every=1) as writer:
        how["told"] = train(12, **how)
    return writer, how["told"]


NAMES = ("loss.value", "loss.nonfinite", "call.value", "weight", "grad", "update", "activation", "grad.norm")


@pytest.mark.parametrize("clip", [False, True])
def test_the_same_series_as_at_hand(record, far, monkeypatch, clip):
    step_of = (lambda net: nn.utils.clip_grad_norm_(net.parameters(), 1.0)) if clip else None
    late, _ = seen(record, step_of=step_of)
    monkeypatch.undo()
    near, told = seen(record, step_of=step_of)
    assert near.values("loss.value") == pytest.approx(told)
    compared = 0
    names = {one.name for series, _ in near.groups for one in series}
    for name in sorted(names):
        if not name.startswith(NAMES):
            continue
        for place in near.places(name):
            one, other = near.read(name, place), late.read(name, place)
            assert [step for step, _ in one] == [step for step, _ in other], (name, place)
            pairs = [(a, b) for (_, a), (_, b) in zip(one, other, strict=True) if not isinstance(a, bytes)]
            for a, b in pairs:
                assert b == pytest.approx(a, rel=1e-5, abs=1e-7, nan_ok=True), (name, place)
            compared += len(pairs)
    assert compared > 300, names


@pytest.mark.parametrize("scaled", [False, True])
def test_every_loss_of_short_steps_is_kept(record, far, scaled):
    with record(budget=0.001) as writer:
        told = train(1500, scaler=torch.amp.GradScaler("cpu", growth_interval=500) if scaled else None)
    assert writer.recorder._core.slept > 300, "the program was too slow to show anything"
    found = writer.read("loss.value")
    assert sorted(step for step, _ in found) == list(range(1500))
    assert [value for _, value in sorted(found)] == pytest.approx(told, rel=1e-6)


def test_a_loss_that_is_not_finite_ends_the_sleep(record, far):
    count = iter(range(10**6))

    def spoil(net):
        if next(count) == 1000:
            net[0].weight.data.fill_(math.nan)

    with record(budget=0.001) as writer:
        train(1400, step_of=spoil)
    bad = sorted(step for step, value in writer.read("loss.nonfinite") if value)
    assert bad == list(range(1001, 1400)) or bad == list(range(1000, 1400))
    assert writer.recorder._core.slept < 1300


def test_a_gradient_that_is_added_to_is_known_some_steps_later(record, far):
    with record() as writer:
        train(20, clear=False)
    stale = writer.values("loop.stale_gradient")
    assert stale[-5:] == [1.0] * 5


def test_a_gradient_cleared_by_its_data_is_not_taken_for_one_that_is_added_to(record, far):
    def clear(net):
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter.grad.data.zero_()

    with record() as writer:
        net = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(30):
            clear(net)
            F.mse_loss(net(torch.randn(4, 6)), torch.randn(4, 3)).backward()
            optimizer.step()
    assert not any(writer.values("loop.stale_gradient"))
