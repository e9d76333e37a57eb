"""What captures, scripts or overrides torch sees the same: jit, fx, export, function modes, subclasses."""

import hashlib
import inspect
import pickle

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.overrides import TorchFunctionMode


class Scored(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.net(x), y)


class Names(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen.append(getattr(function, "__name__", repr(function)))
        return function(*args, **(kwargs or {}))


class Tagged(torch.Tensor):
    calls = 0

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.calls += function is F.mse_loss
        return super().__torch_function__(function, types, args, kwargs or {})


torch.manual_seed(30)
model = Scored()
x, y = torch.randn(10, 6), torch.randint(0, 3, (10,))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(60):
    optimizer.zero_grad()
    loss = model(x, y)
    loss.backward()
    optimizer.step()
    print(loss.item().hex())

scripted = torch.jit.script(model)
print(scripted.graph, scripted(x, y).item().hex())
traced = torch.jit.trace(model, (x, y))
print(traced.graph, traced(x, y).item().hex())
drawn = fx.symbolic_trace(model)
print(drawn.graph, drawn(x, y).item().hex())
print(torch.export.export(model, (x, y)).graph)
with Names() as names:
    model(x, y).backward()
print(names.seen)
print(F.mse_loss(torch.ones(2).as_subclass(Tagged), torch.zeros(2)), Tagged.calls)
for function in (
    F.cross_entropy,
    F.mse_loss,
    torch.optim.Optimizer.zero_grad,
    torch.Tensor.backward,
    nn.Module.__call__,
):
    print(function.__name__, function.__module__, function.__qualname__, inspect.signature(function))
    print(
        pickle.loads(pickle.dumps(function)) is function,
        function.__code__.co_firstlineno,
        inspect.getsource(function)[:60],
    )
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())
