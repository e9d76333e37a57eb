"""Copies of the trained model that run beside it."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


def beside(*, update, pair=None, steps=12):
    model, other = pair or _copied()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(32, 8)
    for step in range(steps):
        with torch.no_grad():
            target = other(x)
        optimizer.zero_grad()
        F.mse_loss(model(x), target + 1).backward()
        optimizer.step()
        update(step, model, other)


def _copied():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return model, copy.deepcopy(model)


def last(writer):
    looks = writer.told("twins")
    assert looks, "there is a copy"
    assert len(looks[-1]["twins"]) == 1, "its parts are not told again"
    return looks[-1]["twins"][0]


def test_a_copy_that_stays(record):
    with record() as writer:
        beside(update=lambda *_: None)
    twin = last(writer)
    assert twin["copied"] and not twin["changed"] and twin["student_moved"]
    assert twin["module"] == twin["student"] == "Sequential"


def test_a_moving_average(record):
    def follow(step, model, other):
        with torch.no_grad():
            for kept, new in zip(other.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 0.1)

    with record() as writer:
        beside(update=follow)
    assert last(writer)["changed"]


def test_a_target_that_is_loaded_late_is_seen_at_the_end(record):
    with record() as writer:
        beside(update=lambda step, model, other: step == 11 and other.load_state_dict(model.state_dict()))
    assert last(writer)["changed"]


def test_another_model_of_the_same_shape_is_no_copy(record):
    pair = (_copied()[0], _copied()[0])
    with record() as writer:
        beside(update=lambda *_: None, pair=pair)
    assert not last(writer)["copied"]


def test_inside_a_module(record):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.online, self.target = _copied()

        def forward(self, x):
            with torch.no_grad():
                target = self.target(x)
            return F.mse_loss(self.online(x), target + 1)

    with record() as writer:
        both, x = Both(), torch.randn(32, 8)
        optimizer = torch.optim.SGD(both.online.parameters(), lr=0.1)
        for _ in range(6):
            optimizer.zero_grad()
            both(x).backward()
            optimizer.step()
    assert last(writer)["module"] == "Both.target"


def test_one_model_has_no_twin(record):
    with record() as writer:
        model = _copied()[0]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(6):
            optimizer.zero_grad()
            model(torch.randn(4, 8)).sum().backward()
            optimizer.step()
    assert writer.told("twins") == []


def trained_beside(average):
    model, shadow = _copied()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(4, 8)).square().mean().backward()
        optimizer.step()
        average(shadow, model)
    shadow.eval()
    with torch.no_grad():
        shadow(torch.randn(4, 8))


def test_an_average_that_only_runs_at_the_end_and_never_moved(record):
    with record() as writer:
        trained_beside(lambda shadow, model: None)
    twin = last(writer)
    assert twin["copied"] and not twin["changed"] and twin["student_moved"]


def test_an_average_that_only_runs_at_the_end_and_moved(record):
    def follow(shadow, model):
        with torch.no_grad():
            for kept, new in zip(shadow.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 0.1)

    with record() as writer:
        trained_beside(follow)
    assert writer.told("twins") == []
