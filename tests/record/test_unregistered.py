"""Parameters that a model uses and no module registers."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

LOOSE = nn.Linear(4, 4)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.parts = [nn.Linear(4, 4), (nn.LayerNorm(4),)]
        self.named = {"a": nn.Linear(4, 4)}
        self.gain: torch.Tensor = torch.ones(4, requires_grad=True)
        self.hidden = [nn.Linear(4, 4)]
        self.aside = None

    def forward(self, x):
        self.aside = x.clone().requires_grad_()
        h = self.parts[1][0](self.parts[0](self.aside)) * self.gain
        with torch.no_grad():
            self.hidden[0](x)
        return self.head(self.named["a"](h))


class Outside(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(LOOSE(x))


def fit(model, *, parameters=None, steps=3, after=None):
    optimizer = torch.optim.SGD(list(parameters or model.parameters()), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(model(torch.randn(4, 4)), torch.randn(4, 2)).backward()
        optimizer.step()
        if after is not None:
            after(model)


def unregistered(writer):
    (fields,) = [look for look in writer.told("parameters") if "unregistered" in look][-1:]
    return {one["path"]: one for one in fields["unregistered"]}


def test_lists_dicts_and_tensors_are_told_by_attribute_and_line(record):
    with record() as writer:
        fit(Net())
    found = unregistered(writer)
    assert set(found) == {"parts", "named", "gain"}, (
        "neither what gets no gradient, nor an input that is kept"
    )
    assert found["parts"]["count"] == 4 and found["parts"]["elements"] == 4 * 4 + 4 + 4 + 4
    assert found["parts"]["classes"] == ["LayerNorm", "Linear"]
    assert found["gain"]["classes"] == ["Tensor"]
    lines = Path(__file__).read_text().splitlines()
    for one in found.values():
        assert one["file"] == __file__
        assert lines[one["line"] - 1].strip().startswith(f"self.{one['attribute']}")
        assert not one["changed"] and not one["in_optimizer"]


def test_modules_that_no_attribute_holds(record):
    LOOSE.zero_grad()
    with record() as writer:
        fit(Outside())
    assert unregistered(writer) == {
        "Linear": {
            "path": "Linear",
            "attribute": "",
            "classes": ["Linear"],
            "count": 2,
            "elements": 20,
            "changed": False,
            "in_optimizer": False,
            "file": "",
            "line": 0,
        }
    }


def test_what_an_optimizer_or_the_program_trains_is_told_so(record):
    model = Net()
    with record() as writer:
        fit(model, parameters=[*model.parameters(), *model.named["a"].parameters()], after=update)
    found = unregistered(writer)
    assert found["named"]["in_optimizer"] and found["named"]["changed"]
    assert found["gain"]["changed"] and not found["gain"]["in_optimizer"]
    assert not found["parts"]["changed"]


def update(model):
    with torch.no_grad():
        model.gain -= 0.1 * model.gain.grad


def test_a_model_that_registers_everything_has_none(record):
    class Sound(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(4, 4), nn.LSTM(4, 4)])
            self.head = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
            self.same = [self.head, *self.parts]

        def forward(self, x):
            return self.head(self.parts[1](self.parts[0](x))[0])

    with record() as writer:
        fit(Sound())
    assert unregistered(writer) == {}


def test_two_networks_each_with_its_optimizer(record):
    """Each is a root by itself, and neither is a part that the other forgot."""
    first, second = nn.Linear(4, 4), nn.Linear(4, 2)
    with record() as writer:
        optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (first, second)]
        for _ in range(3):
            F.mse_loss(second(first(torch.randn(4, 4))), torch.randn(4, 2)).backward()
            for one in optimizers:
                one.step()
                one.zero_grad()
    assert unregistered(writer) == {}
