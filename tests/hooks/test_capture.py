"""While a CUDA graph is captured nothing is told; the driver's part is answered here, there is no GPU."""

import pytest
import torch
from torch import nn

from unbug.hooks import Hub

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="with a device, tests/gpu captures graphs")


class Told:
    def __init__(self):
        self.names = []

    def __getattr__(self, name):
        return lambda *arguments: self.names.append(name)


@pytest.fixture
def graph(monkeypatch):
    base = torch.cuda.graphs.CUDAGraph.__bases__[0]
    monkeypatch.setattr(base, "capture_begin", lambda self, **how: None, raising=False)
    monkeypatch.setattr(base, "capture_end", lambda self: None, raising=False)
    graph = object.__new__(torch.cuda.graphs.CUDAGraph)
    graph._tracker = None
    return graph


def step(net, optimizer):
    optimizer.zero_grad()
    nn.functional.mse_loss(net(torch.ones(2, 3)), torch.zeros(2, 1)).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()


def test_silence_during_a_capture(graph, monkeypatch):
    told = Told()
    hub = Hub(told)
    hub.install()
    try:
        assert not [row.reason for row in hub.patches() if "CUDAGraph" in row.name and row.reason]
        net = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        step(net, optimizer)
        before = list(told.names)
        assert {"root_forward", "loss_call", "backward_begin", "clip", "step_begin"} <= set(before)
        graph.capture_begin()
        step(net, optimizer)
        graph.capture_end()
        assert told.names == before
        step(net, optimizer)
        assert told.names[len(before) :] == before[before.index("zero_grad") :]

        def refuses(self, **how):
            raise RuntimeError("in a capture already")

        monkeypatch.setattr(type(graph).__bases__[0], "capture_begin", refuses)
        with pytest.raises(RuntimeError, match=r"^in a capture already$"):
            graph.capture_begin()
        count = len(told.names)
        step(net, optimizer)
        assert len(told.names) > count
    finally:
        hub.remove()
