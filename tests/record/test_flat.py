"""How much of what nonlinearities give lies where they are flat."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unbug.record.flat import flat_of, is_due


class Functional(nn.Module):
    def __init__(self, act, scale):
        super().__init__()
        self.first, self.last, self.act = nn.Linear(8, 16), nn.Linear(16, 3), act
        self.first.weight.data.mul_(scale)

    def forward(self, x):
        return self.last(self.act(self.first(x)))


class Recurrent(nn.Module):
    def __init__(self, kind, scale):
        super().__init__()
        self.cell, self.out, self.scale = kind(4, 12, batch_first=True), nn.Linear(12, 3), scale

    def forward(self, x):
        return self.out(self.cell(x * self.scale)[0][:, -1])


def seen(model, x):
    names = {id(p): name for name, p in model.named_parameters()}
    loss = F.cross_entropy(model(x), torch.zeros(len(x), dtype=torch.long))
    return flat_of([loss], lambda tensor: names.get(id(tensor), ""))


@pytest.mark.parametrize(("scale", "low", "high"), [(1.0, 0.0, 0.1), (200.0, 0.9, 1.0)])
@pytest.mark.parametrize("act", [torch.tanh, torch.sigmoid, nn.Tanh()], ids=["tanh", "sigmoid", "module"])
def test_a_function_is_seen_like_a_module(act, scale, low, high):
    [one] = seen(Functional(act, scale), torch.randn(32, 8))
    assert low <= one["flat"] <= high and one["hidden"] and one["after"].startswith("first.")


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_gates_of_recurrent_layers(kind):
    calm = seen(Recurrent(kind, 1.0), torch.randn(16, 6, 4))
    hard = seen(Recurrent(kind, 300.0), torch.randn(16, 6, 4))
    assert max(one["flat"] for one in calm) < 0.1
    assert max(one["flat"] for one in hard if not one["gate"]) > 0.75


def test_dead_units_of_a_relu_are_told_apart_from_zeros():
    model = Functional(torch.relu, 1.0)
    [alive] = seen(model, torch.randn(32, 8))
    model.first.bias.data.fill_(-50.0)
    [dead] = seen(model, torch.randn(32, 8))
    assert 0.2 < alive["flat"] < 0.8 and alive["dead"] < 0.3
    assert dead["flat"] == dead["dead"] == 1.0


def test_what_the_program_packs_is_not_unpacked():
    unpacked = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: unpacked.append(t) or t):
        assert seen(Functional(torch.tanh, 1.0), torch.randn(32, 8)) == []
    assert not unpacked


def test_steps_that_are_due():
    assert [step for step in range(70) if is_due(step)] == [0, 1, 2, 4, 8, 16, 32, 64]


def test_a_program_that_saturates_tells_it(record):
    torch.manual_seed(0)
    with record() as writer:
        model = Functional(torch.tanh, 200.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(6):
            optimizer.zero_grad()
            F.mse_loss(model(torch.randn(16, 8)), torch.zeros(16, 3)).backward()
            optimizer.step()
    looks = writer.told("flat")
    assert len(looks) >= 3 and all(look["items"][0]["after"] == "first.weight" for look in looks)
    assert all(look["items"][0]["flat"] > 0.9 for look in looks)
