"""The recorder over a longer run: sleep, blocks left alone, coverage, other threads, failing programs."""

import random
import threading

import torch
from torch import nn
from torch.nn import functional as F


def fit(net, optimizer, steps, *, before_step=None):
    for step in range(steps):
        optimizer.zero_grad()
        F.mse_loss(net(torch.randn(4, 6)), torch.randn(4, 3)).backward()
        optimizer.step()
        if before_step is not None:
            before_step(step)


def small():
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    return net, torch.optim.SGD(net.parameters(), lr=0.01)


def test_slept_through_steps_are_counted_and_a_new_training_is_seen_from_its_first(record):
    with record(budget=1e-9) as writer:
        fit(*small(), 1500)
        fit(*small(), 30)
    assert writer.steps() == {0: 1500, 1: 30}
    slept = writer.recorder.coverage()["notes"]
    assert any("too short to be watched" in note for note in slept), slept
    assert [step for step, _ in writer.read("loss.value", training=0)] == list(range(1500))
    awake = [step for step, _ in writer.read("step.micro_steps", training=0)]
    assert awake == sorted(set(awake)) and 400 <= len(awake) < 1500
    assert writer.read("loss.value", training=1)[0][0] == 0
    assert set(writer.orders(0)) <= {"ZFBS"}


def test_trainings_that_take_turns_lose_no_step_to_sleep(record):
    with record(budget=1e-9) as writer:
        pairs = [small(), small()]
        for _ in range(4):
            for pair in pairs:
                fit(*pair, 200)
    assert writer.steps() == {0: 800, 1: 800}
    assert any("too short to be watched" in note for note in writer.recorder.coverage()["notes"])


def test_evaluations_are_seen_while_it_sleeps(record):
    with record(budget=1e-9) as writer:
        net, optimizer = small()
        for _ in range(6):
            fit(net, optimizer, 250)
            with torch.no_grad():
                F.mse_loss(net(torch.randn(40, 6)), torch.randn(40, 3))
    assert [step for step, _ in writer.read("call.value", phase=1)] == [249, 499, 749, 999, 1249, 1499]


def test_steps_left_alone_are_whole_rows_but_no_words(record):
    with record() as writer:
        net, optimizer = small()
        core = writer.recorder._core

        def left_alone(step):
            core.budget.allowance_ns = 0.0
            core.blocks.unwatched = step % 3 == 0 and step > 20
            core.blocks.left = 10

        fit(net, optimizer, 90, before_step=left_alone)
    assert writer.steps() == {0: 90}
    assert len(writer.values("loss.value")) == 90
    assert set(writer.orders()) == {"ZFBS"}


def test_the_allowance_records_first_steps_in_full(record):
    with record() as writer:
        fit(*small(), 30)
    covered = writer.recorder.coverage()
    assert covered["full_steps"] >= 3
    assert covered["trainings"][0]["looks"]["weight"] >= 4 * 3
    assert covered["accounted_share"] > 0 and covered["setup_s"] > 0
    assert covered["not_seen"] == {}


def test_no_random_number_is_drawn(record):
    with record(every=1):
        before = torch.get_rng_state(), random.getstate()
        net, optimizer = small()
        torch.set_rng_state(before[0])
        x, y = torch.ones(4, 6), torch.ones(4, 3)
        for _ in range(30):
            optimizer.zero_grad()
            F.mse_loss(net(x), y).backward()
            optimizer.step()
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]


def test_forwards_in_other_threads_are_left_alone(record):
    with record() as writer:
        net, optimizer = small()
        served = nn.Linear(6, 3)
        stop = threading.Event()

        def serve():
            while not stop.is_set():
                F.mse_loss(served(torch.randn(2, 6)), torch.randn(2, 3))

        thread = threading.Thread(target=serve)
        thread.start()
        fit(net, optimizer, 40)
        stop.set()
        thread.join()
    assert writer.steps() == {0: 40}
    assert set(writer.orders()) == {"ZFBS"}
    assert {one["module"] for one in writer.told("mode")} == {"Sequential"}


def test_a_forward_that_raises_does_not_disturb_the_steps(record):
    with record() as writer:
        net, optimizer = small()
        for step in range(6):
            optimizer.zero_grad()
            try:
                net(torch.randn(4, 7 if step == 2 else 6)).sum().backward()
            except RuntimeError:
                continue
            optimizer.step()
    assert writer.steps() == {0: 5}


def test_compiled_modules_are_told_to_be_unseen(record):
    with record() as writer:
        net, optimizer = small()
        fit(torch.compile(net, backend="eager"), optimizer, 4)
    assert writer.steps() == {0: 4}
    assert any("compiled" in note for note in writer.recorder.coverage()["notes"])
    assert {place["path"] for place in writer.told("places")[0]["places"]} >= {"0.weight", "2.bias"}
    assert writer.values("weight.mean", "0.weight")


def test_tensors_that_no_module_holds_are_one_training(record):
    weight = torch.zeros(4, requires_grad=True)
    with record() as writer:
        for _ in range(4):
            ((torch.randn(5, 4) @ weight - 1) ** 2).mean().backward()
            with torch.no_grad():
                weight -= 0.1 * weight.grad
                weight.grad = None
    assert [step for step, _ in writer.read("loss.value")] == list(range(4))
    assert {training for _, _, training, *_ in writer.rows} == {0}


def test_tensors_can_be_swapped_as_without_unbug(record):
    """`torch.utils.swap_tensors` refuses a tensor with weak references, and `Module.to` may use it."""
    torch.manual_seed(0)
    net, optimizer = small()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with record() as writer:
            fit(net, optimizer, 3)
            optimizer.zero_grad()
            net.to(torch.float64).to(torch.float32)
            fit(net, optimizer, 3)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert [step for step, _ in writer.read("loss.value")] == list(range(6))
    assert {training for _, _, training, *_ in writer.rows} == {0}
    assert {step for step, _ in writer.read("weight.mean", "0.weight")} >= {0, 5}
