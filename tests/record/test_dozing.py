"""Steps too short to be watched still have their loss."""

import math

import pytest
import torch
from torch import nn


def _train(steps, *, scaler=None):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, targets = torch.randn(16, 4), torch.randn(16, 1)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), targets)
        losses.append(loss.item())
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        if step == steps - 20 and scaler is None:
            model[0].weight.data.fill_(math.nan)
    return losses


@pytest.mark.parametrize("scaled", [False, True])
def test_every_loss_is_kept_while_asleep(record, scaled):
    with record() as writer:
        scaler = torch.amp.GradScaler("cpu", growth_interval=500) if scaled else None
        losses = _train(2500, scaler=scaler)
    assert writer.recorder._core.slept > 500, "the program was too slow to show anything"
    found = writer.read("loss.value")
    assert [step for step, _ in found] == list(range(2500))
    assert [value for _, value in found] == pytest.approx(losses, rel=1e-6, nan_ok=True)


def test_a_loss_that_is_not_finite_wakes(record):
    with record() as writer:
        _train(2500)
    core = writer.recorder._core
    bad = [step for step, value in writer.read("loss.value") if not math.isfinite(value)]
    assert bad == list(range(2481, 2500))
    assert core.slept < 2500


def test_a_program_without_an_optimizer_is_not_slept_through(record):
    layer, inputs = nn.Linear(3, 1), torch.randn(8, 3)
    with record() as writer:
        for _ in range(1500):
            layer(inputs).square().mean().backward()
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter -= 0.001 * parameter.grad
                    parameter.grad = None
    assert writer.steps() == {0: 1500}
    assert [step for step, _ in writer.read("loss.value")] == list(range(1500))
