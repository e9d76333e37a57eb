"""Under the hub, everything that inspects, traces, compiles or intercepts torch sees what it sees without."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import inspect
import pickle
import random
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from tests.hooks.listening import Told
from unbug.hooks import Hub

Scenario = Callable[[], Any]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class WithLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        z = self.net(x)
        return (
            F.cross_entropy(z, y)
            + F.mse_loss(z, torch.zeros_like(z))
            + F.smooth_l1_loss(z, torch.ones_like(z))
        )


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)


def digest(*tensors: torch.Tensor) -> str:
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()


def unmangled(text: object) -> str:
    """Without the numbers that TorchScript gives to a class that it meets again."""
    return re.sub(r"___torch_mangle_\d+\.", "", str(text))


@contextlib.contextmanager
def dynamo() -> Iterator[Callable[[], Any]]:
    """Counters of Dynamo and the graphs it made, from a clean state."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield lambda: {key: dict(value) for key, value in torch._dynamo.utils.counters.items() if value}
    torch._dynamo.reset()


def recording() -> tuple[list[str], Callable[..., Any]]:
    graphs: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph.print_readable(print_output=False))
        return graph.forward

    return graphs, backend


@scenario
def jit_script() -> Any:
    @torch.jit.script
    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(x, y) + torch.nn.functional.l1_loss(x, x * 2.0)

    module = torch.jit.script(WithLoss())
    return unmangled(loss.graph), unmangled(module.graph), unmangled(module.code)


@scenario
def jit_trace() -> Any:
    torch.manual_seed(0)
    x, y = data()
    traced = torch.jit.trace(WithLoss(), (x, y))
    return unmangled(traced.graph), traced(x, y).item()


@scenario
def compile_fullgraph() -> Any:
    graphs, backend = recording()
    with dynamo() as counters:
        torch.manual_seed(0)
        step = torch.compile(WithLoss(), backend=backend, fullgraph=True)
        x, y = data()
        losses = [step(x, y).item(), step(x[:4], y[:4]).item(), step(x[:3], y[:3]).item()]
        return losses, graphs, counters()


@scenario
def compile_with_breaks() -> Any:
    graphs, backend = recording()
    with dynamo() as counters:
        torch.manual_seed(0)
        net, optimizer = Net(), None
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

        @torch.compile(backend=backend)
        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y, label_smoothing=0.1)
            torch._dynamo.graph_break()
            loss = loss + F.mse_loss(net(x), torch.zeros(len(x), 3))
            scaler.scale(loss).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            return loss

        x, y = data()
        losses = [step(x, y).item() for _ in range(3)] + [step(x[:2], y[:2]).item()]
        return losses, graphs, counters(), digest(*net.parameters())


@scenario
def compile_of_an_optimizer() -> Any:
    graphs, backend = recording()
    with dynamo() as counters:
        torch.manual_seed(0)
        net = Net()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        step = torch.compile(lambda: optimizer.step(), backend=backend)
        x, y = data()
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            step()
        return len(graphs), counters(), digest(*net.parameters())


@scenario
def compile_of_a_method() -> Any:
    graphs, backend = recording()
    with dynamo() as counters:
        torch.manual_seed(0)
        net = Net()
        net.register_forward_hook(lambda module, args, output: output * 2)
        net.compile(backend=backend)
        x, y = data()
        return [F.nll_loss(net(x).log_softmax(1), y).item() for _ in range(2)], graphs, counters()


@scenario
def compile_with_hooked_modules() -> Any:
    """Module.__call__ itself is traced here, instead of forward."""
    graphs, backend = recording()
    with dynamo() as counters:
        torch.manual_seed(0)
        net = Net()
        net.body[0].register_forward_hook(lambda module, args, output: output + 1)
        compiled = torch.compile(net, backend=backend, fullgraph=True)
        called = torch.compile(net.__call__, backend=backend, fullgraph=True)
        x, _ = data()
        return [digest(compiled(x)), digest(called(x))], graphs, counters()


@scenario
def compile_aot_eager() -> Any:
    with dynamo() as counters:
        torch.manual_seed(0)
        net = torch.compile(WithLoss(), backend="aot_eager")
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        x, y = data()
        for _ in range(3):
            optimizer.zero_grad()
            net(x, y).backward()
            optimizer.step()
        counted = counters()
        counted.pop("aot_autograd", None)  # cache hits differ from the first to the second time, hub or not
        return digest(*net.parameters()), counted


@scenario
def exported() -> Any:
    torch.manual_seed(0)
    x, y = data()
    found = []
    for strict in (False, True):
        with dynamo():
            program = torch.export.export(WithLoss(), (x, y), strict=strict)
            found.append(
                (program.graph_module.print_readable(print_output=False), program.module()(x, y).item())
            )
    return found


@scenario
def fx_trace() -> Any:
    torch.manual_seed(0)
    traced = torch.fx.symbolic_trace(WithLoss())
    nested = torch.fx.symbolic_trace(Net())
    x, y = data()
    targets = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    return traced.code, nested.code, F.cross_entropy in targets, traced(x, y).item()


@scenario
def functorch() -> Any:
    torch.manual_seed(0)
    net, (x, y) = WithLoss(), data()
    parameters = dict(net.named_parameters())

    def loss(parameters: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(net, parameters, (x, y))

    gradients = torch.func.grad(loss)(parameters, x, y)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x[:, None], y[:, None])
    jvp = torch.func.jvp(lambda x: F.mse_loss(x, torch.zeros_like(x)), (x,), (x,))
    hessian = torch.func.hessian(lambda w: F.mse_loss(w, torch.zeros_like(w)))(torch.ones(3))
    return digest(*gradients.values(), *each.values(), *jvp, hessian)


@scenario
def subclass() -> Any:
    seen: list[str] = []

    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(getattr(function, "__name__", str(function)))
            return super().__torch_function__(function, types, args, kwargs or {})

    x, y = data()
    net = nn.Linear(4, 3)
    torch.manual_seed(0)
    net.reset_parameters()
    wrapped = x.as_subclass(Logged)
    loss = F.cross_entropy(net(wrapped), y) + nn.MSELoss()(net(wrapped), torch.zeros(6, 3))
    loss.backward()
    return seen, type(loss).__name__, loss.item()


@scenario
def function_mode() -> Any:
    seen: list[Any] = []

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(getattr(function, "__name__", str(function)))
            if function is F.cross_entropy:
                seen.append("is cross_entropy")
            return function(*args, **(kwargs or {}))

    torch.manual_seed(0)
    net, (x, y) = Net(), data()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with Mode():
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return seen, loss.item()


@scenario
def dispatch_mode() -> Any:
    seen: list[str] = []

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    torch.manual_seed(0)
    net, (x, y) = Net(), data()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    with Mode():
        loss = nn.CrossEntropyLoss()(net(x), y)
        loss.backward()
        optimizer.step()
    return seen, loss.item()


@scenario
def fake_tensors() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        loss = WithLoss()(torch.randn(6, 4), torch.randint(3, (6,)))
        loss.backward()
    with torch.device("meta"):
        meta = WithLoss()(torch.randn(6, 4), torch.randint(3, (6,)))
    return type(loss).__name__, tuple(loss.shape), meta.device.type


class Warns(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for level in range(1, 5):
            warnings.warn(f"at level {level}", stacklevel=level)
        return x


@scenario
def warned() -> Any:
    x, y = data()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.MSELoss()(torch.zeros(3, 1, requires_grad=True), torch.zeros(3))
        F.smooth_l1_loss(torch.zeros(3, 1), torch.zeros(3))
        F.huber_loss(torch.zeros(3, 1), torch.zeros(3))
        F.kl_div(x, x, reduction="mean")
        F.cross_entropy(x, y, size_average=False)
        nn.Sequential(Warns())(x)
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        scheduler.step()
        optimizer.step()
        scheduler.step(3)
        nn.utils.clip_grad_norm(net.parameters(), 1.0)
        z = torch.ones(1, requires_grad=True)
        torch.autograd.backward(z * 2, grad_variables=torch.ones(1))
        z.grad = None
        (z * z).backward(create_graph=True)
    return [(str(w.message), w.category.__name__, w.filename, w.lineno) for w in caught]


class Fails(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / int("no number")


@scenario
def tracebacks() -> Any:
    x, y = data()
    net = Net()

    def twice() -> None:
        loss = net(x).square().sum()
        loss.backward()
        loss.backward()

    def empty_optimizer() -> None:
        torch.optim.SGD([], lr=0.1)

    def broken_data() -> None:
        class Broken(torch.utils.data.Dataset):  # type: ignore[type-arg]
            def __len__(self) -> int:
                return 2

            def __getitem__(self, index: int) -> Any:
                raise ValueError(f"item {index}")

        list(torch.utils.data.DataLoader(Broken()))

    def closure_fails() -> None:
        def closure() -> float:
            raise RuntimeError("in the closure")

        torch.optim.LBFGS(net.parameters()).step(closure)

    attempts = [
        lambda: nn.Sequential(nn.Identity(), Fails())(x),
        lambda: F.cross_entropy(x, y.float() + 0.5),
        lambda: nn.CrossEntropyLoss()(x, y[:2]),
        lambda: F.binary_cross_entropy(x[0], x[1].sigmoid()[:2]),
        lambda: F.nll_loss(1, 2),
        lambda: F.mse_loss(x),
        lambda: torch.autograd.backward(x),
        lambda: torch.autograd.grad(x, x),
        lambda: nn.utils.clip_grad_norm_(net.parameters(), "much"),
        lambda: torch.manual_seed("seven"),
        lambda: random.seed([]),
        twice, empty_optimizer, broken_data, closure_fails,
    ]  # fmt: skip
    texts = []
    for attempt in attempts:
        try:
            attempt()
        except Exception as error:
            texts.append("".join(traceback.format_exception(error)))
    assert len(texts) == len(attempts)
    return texts


@scenario
def inspected() -> Any:
    functions = [F.cross_entropy, F.mse_loss, torch.autograd.backward, nn.Module.__call__,
                 nn.Module.zero_grad, torch.optim.Optimizer.zero_grad, torch.optim.SGD.step,
                 torch.manual_seed, torch.compile,
                 nn.utils.clip_grad_norm_, torch.utils.data.DataLoader.__iter__, random.seed]  # fmt: skip
    facts = (
        "co_filename",
        "co_firstlineno",
        "co_name",
        "co_qualname",
        "co_argcount",
        "co_flags",
        "co_freevars",
    )
    return (
        [id(function) for function in functions[:4]],
        [str(inspect.signature(function)) for function in functions],
        [inspect.getsource(function) for function in functions],
        [[getattr(inspect.unwrap(f).__code__, fact) for fact in facts] for f in functions],
        pickle.dumps(F.cross_entropy),
        sorted(vars(F)), sorted(vars(torch.optim.Optimizer)), sorted(vars(nn.Module)),
        copy.deepcopy(F.mse_loss) is F.mse_loss,
        F.cross_entropy in torch.overrides.get_testing_overrides(),
    )  # fmt: skip


def train(optimizer_of: Callable[[Any], torch.optim.Optimizer], step: Callable[..., Any]) -> Any:
    torch.manual_seed(0)
    random.seed(0)
    net = Net()
    optimizer = optimizer_of(net.parameters())
    x, y = data()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2, shuffle=True)
    losses = [step(net, optimizer, *batch) for _ in range(3) for batch in loader]
    return digest(*net.parameters()), losses, random.random(), torch.rand(1).item()


@scenario
def trainings() -> Any:
    def plain(net: Any, optimizer: Any, x: Any, y: Any) -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        optimizer.step()
        return loss.item()

    def checkpointed(net: Any, optimizer: Any, x: Any, y: Any, reentrant: bool) -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(checkpoint(net, x.requires_grad_(), use_reentrant=reentrant), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def closure(net: Any, optimizer: Any, x: Any, y: Any) -> float:
        def again() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            return loss

        return float(optimizer.step(again))

    scaler = torch.amp.GradScaler("cpu", init_scale=1e5)

    def scaled(net: Any, optimizer: Any, x: Any, y: Any) -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.item()

    def by_hand(net: Any, optimizer: Any, x: Any, y: Any) -> float:
        loss = F.cross_entropy(net(x), y)
        for parameter, gradient in zip(
            net.parameters(), torch.autograd.grad(loss, list(net.parameters())), strict=True
        ):
            parameter.grad = gradient
        optimizer.step()
        return loss.item()

    sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.1)  # noqa: E731
    return [
        train(sgd, plain),
        train(lambda parameters: torch.optim.AdamW(parameters, lr=0.1, amsgrad=True), plain),
        train(sgd, lambda *all: checkpointed(*all, reentrant=True)),
        train(sgd, lambda *all: checkpointed(*all, reentrant=False)),
        train(lambda parameters: torch.optim.LBFGS(parameters, max_iter=3), closure),
        train(sgd, scaled),
        train(sgd, by_hand),
    ]


@pytest.mark.filterwarnings("ignore")  # what torch says of deprecated calls is compared in `warned`
@pytest.mark.parametrize("run", SCENARIOS, ids=lambda run: run.__name__)
def test_sees_what_it_sees_without(run: Scenario, told: Told) -> None:
    run()  # caches fill
    bare = run()
    hub = Hub(told)
    hub.watch_modules = True
    hub.install()
    try:
        watched = run()
    finally:
        hub.remove()
    assert told.of("fault") == []
    assert watched == bare
    assert run() == bare, "not the same after the hub, or not the same twice at all"
