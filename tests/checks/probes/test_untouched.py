"""Probes leave the program as it was, keep to their time, and say why they were not made."""

from __future__ import annotations

import gc
import random
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import unbug
from unbug.session.probing import LEAST_S, MOST_S, allowed_s
from unbug.store import open_reader

sys.path.insert(0, str(Path(__file__).parent))

import programs


class Loud(nn.Module):
    """Counts, prints, warns and draws in its forward pass."""

    def __init__(self):
        super().__init__()
        self.net = programs.perceptron(16, nn.BatchNorm1d(16), nn.Dropout(0.5))
        self.calls, self.seen = 0, []

    def forward(self, x):
        self.calls += 1
        self.seen.append(len(x))
        print("forward")
        warnings.warn("said once", UserWarning, stacklevel=1)
        random.random(), np.random.rand()
        return self.net(x)


def generators():
    return (
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(), list(warnings.filters), sys.stdout, sys.stderr,
    )  # fmt: skip


@pytest.mark.filterwarnings("default:said once")
def test_nothing_of_the_program_is_touched(probe, capsys):
    model = Loud()
    probe(lambda: programs.fit(model, *programs.blobs(), steps=12), among=())
    kept = probe.kept
    before, weights = generators(), {name: one.clone() for name, one in model.state_dict().items()}
    modes, calls, hooks = [one.training for one in model.modules()], model.calls, model._forward_hooks
    capsys.readouterr()
    from unbug.checks import run_probes

    asked = run_probes(kept, limit_s=10.0)
    assert {one.probe for one in asked if not one.why_not} >= {"other-examples", "modes"}
    assert generators() == before
    assert capsys.readouterr() == ("", "")
    assert (model.calls, len(model.seen), model._forward_hooks) == (calls, calls, hooks)
    assert [one.training for one in model.modules()] == modes
    for name, one in model.state_dict().items():
        assert torch.equal(one, weights[name])
    assert all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())


def test_a_model_without_room_does_not_learn_one_batch(probe):
    small = probe(programs.one_unit, among=("one-batch",), limit_s=60.0)["one-batch"].numbers
    assert small["steps"] >= 100 and max(small["accuracy"], small["fresh_accuracy"]) < 0.8
    wide = probe(programs.batch_norm, among=("one-batch",), limit_s=60.0)["one-batch"].numbers
    assert wide["accuracy"] == 1.0


def test_no_time_means_no_probe(probe):
    began = time.monotonic()
    asked = probe(programs.batch_norm, limit_s=0.0)
    assert [one.why_not for one in asked.values()] == ["the time for probes was over"]
    assert time.monotonic() - began < 20


def test_whoever_waits_for_the_end_stops_them(probe):
    assert all(one.why_not for one in probe(programs.batch_norm, stop=lambda: True).values())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda model: model.register_forward_hook(lambda *_: None), "the model has forward hooks"),
        (lambda model: setattr(model, "forward", model.forward), "the forward of the model was replaced"),
        (lambda model: setattr(model, "rows", iter([1])), "the model holds a list_iterator"),
        (lambda model: setattr(model, "last", torch.ones(1).requires_grad_() * 2), "with a graph"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_copied_says_why(probe, change, why):
    model = programs.perceptron()
    change(model)
    asked = probe(lambda: programs.fit(model, *programs.blobs(), steps=4))
    assert why in asked["all"].why_not


def test_a_probe_that_fails_is_its_own_end_only(probe):
    from unbug.checks.probes.running import PROBES, run_probes

    def broken(subject, clock):
        raise ZeroDivisionError("by design")

    probe(programs.batch_norm, among=())
    asked = run_probes(probe.kept, limit_s=10.0, probes={"broken": broken, "modes": PROBES["modes"]})
    assert [one.why_not for one in asked] == ["it failed: ZeroDivisionError: by design", ""]


@pytest.mark.parametrize(("run_s", "allowed"), [(0.5, LEAST_S), (10.0, 1.0), (30.0, 3.0), (3600.0, MOST_S)])
def test_the_time_that_they_may_take(run_s, allowed):
    assert allowed_s(run_s) == pytest.approx(allowed)


def events(program, folder, monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    torch.manual_seed(0)
    run = unbug.run(dir=folder, name="one", quiet=True)
    try:
        with run:
            program()
    except KeyError:
        pass
    reader = open_reader(run.path)
    try:
        return [event.fields for event in reader.events() if event.kind == "probe"]
    finally:
        reader.close()


def test_they_can_be_switched_off(tmp_path, monkeypatch):
    told = events(programs.batch_norm, tmp_path, monkeypatch, UNBUG_PROBES="0")
    assert [(one["possible"], one["why_not"]) for one in told] == [(False, "they are switched off")]


def test_a_program_that_failed_is_not_probed(tmp_path, monkeypatch):
    def failing():
        programs.batch_norm()
        raise KeyError("x")

    told = events(failing, tmp_path, monkeypatch)
    assert [one["why_not"] for one in told] == ["the program did not finish"]


def test_what_is_kept_is_bounded_and_let_go(probe):
    from unbug.record import KeptBatches

    wide = torch.randn(64, 40_000)
    targets = torch.randint(0, 3, (64,))
    model = nn.Linear(40_000, 3)
    probe(lambda: programs.fit(model, wide, targets, steps=30), among=())
    kept: KeptBatches = probe.kept
    one = next(iter(kept.models.values()))
    batches = [*one.small, *one.recent]
    assert 0 < sum(b.args[0].numel() * 4 for b in batches) <= 32 << 20
    assert len(one.recent) == 2
    kept.let_go()
    assert kept.models == {}


def test_no_output_is_held_while_gradients_are_computed(probe):
    held = []

    class Looks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            held.append(sum(type(one) is torch.Tensor and one.shape == (64, 777) for one in gc.get_objects()))
            return grad

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = nn.Linear(6, 6), nn.Linear(6, 777)

        def forward(self, x):
            return self.outer(Looks.apply(self.inner(x)))

    def fit():
        model = Wide()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(64, 6)), torch.randint(0, 777, (64,))).backward()
            optimizer.step()

    probe(fit, among=())
    assert held == [0] * 5
    kept = next(iter(probe.kept.models.values()))
    assert all(one.loss is not None and one.losses == 1 for one in (*kept.small, *kept.recent))
