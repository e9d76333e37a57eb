"""Compiled programs: real backends, and a hub that comes, goes and toggles while compiled code is there."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.hooks.listening import Told
from unbug.hooks import Hub

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns itself while it compiles


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)


def recompilations() -> int:
    return (
        sum(torch._dynamo.utils.counters["recompiles"].values())
        + torch._dynamo.utils.counters["stats"]["unique_graphs"]
    )


def test_toggling_compiles_nothing_again(told: Told) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled: list[Any] = []

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    hooked = nn.Linear(4, 3)
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    @torch.compile(backend=backend)
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x) + hooked(x), y) + F.mse_loss(net(x), torch.zeros(6, 3))
        loss.backward()
        optimizer.step()
        return loss

    x, y = data()
    step(x, y)
    bare = len(compiled)
    hub = Hub(told)
    hub.install()
    try:
        step(x, y)
        with_hub = len(compiled)
        before = recompilations()
        for wanted in (True, False, True):
            hub.watch_forwards = hub.watch_modules = wanted
            step(x, y)
        assert (len(compiled), recompilations()) == (with_hub, before)
    finally:
        hub.remove()
    step(x, y)
    # Dynamo guards on the code of the Python functions that it inlines, here of `mse_loss`: what was compiled
    # before the hub came is compiled once more, and is found again when the hub is gone.
    assert with_hub <= bare + 1
    assert (len(compiled), recompilations()) == (with_hub, before)
    assert told.of("fault") == []
    torch._dynamo.reset()


def test_a_compiled_model_is_told_from_outside(told: Told, hub: Hub) -> None:
    torch._dynamo.reset()
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    wrapped, own = torch.compile(net, backend="eager"), nn.Sequential(nn.Linear(4, 3))
    own.compile(backend="eager")
    x, y = data()
    for model in (wrapped, own):
        F.cross_entropy(model(x), y).backward()
        told.calls.clear()
        F.cross_entropy(model(x), y).backward()
        names = [name for name in told.names() if name != "module_output"]
        assert names == ["root_forward", "root_output", "loss_call", "backward_begin", "backward_end"]
    torch._dynamo.reset()


def train(mode: str) -> tuple[list[float], list[list[float]]]:
    torch._dynamo.reset()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3))
    compiled = torch.compile(net, mode=mode)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    x, y = data()
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(compiled(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [parameter.tolist() for parameter in net.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_inductor_gives_the_same_bits(mode: str, told: Told) -> None:
    train(mode)
    bare = train(mode)
    assert train(mode) == bare
    hub = Hub(told)
    hub.watch_modules = True
    hub.install()
    try:
        assert train(mode) == bare
    finally:
        hub.remove()
        torch._dynamo.reset()
    assert told.of("fault") == []
    assert len(told.of("loss_call")) == len(told.of("step_end")) == 3
    assert threading.active_count() < 50


def test_dynamo_never_compiles_a_frame_of_unbug(told: Told) -> None:
    """After a graph break, what runs eagerly in a compiled function is offered to Dynamo by frames."""
    torch._dynamo.reset()

    def count() -> int:
        torch._dynamo.utils.counters.clear()

        @torch.compile(backend="eager")
        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            torch._dynamo.graph_break()
            loss = F.cross_entropy(x.requires_grad_(), y)
            loss.backward()
            return loss

        x, y = data()
        for _ in range(2):
            step(x, y)
        found = torch._dynamo.utils.counters["frames"]["total"]
        torch._dynamo.reset()
        return int(found)

    bare = count()
    hub = Hub(told)
    hub.install()
    try:
        assert count() == bare
    finally:
        hub.remove()
    assert told.of("fault") == []
    assert "loss_call" in told.names()
