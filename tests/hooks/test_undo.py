"""After the hub is removed, nothing of it is left: on success, exception, interrupt, in forked children."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

import psutil
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.hooks.listening import Told
from unbug.hooks import Hub


def functions() -> dict[str, FunctionType]:
    """Every Python function of torch, and of `random`, that can be reached from a module or class."""
    found: dict[str, FunctionType] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ("torch", "random"):
            continue
        for owner in [
            module,
            *(thing for thing in list(vars(module).values()) if issubclass(type(thing), type)),
        ]:
            for key, thing in list(vars(owner).items()):
                while thing is not None:
                    if type(thing) in (staticmethod, classmethod, MethodType):
                        thing = thing.__func__
                    if type(thing) is FunctionType:
                        found[f"{name}.{getattr(owner, '__qualname__', '')}.{key}.{id(thing)}"] = thing
                    thing = getattr(thing, "__wrapped__", None) if type(thing) is FunctionType else None
    return found


def hooks() -> dict[str, Any]:
    """Every dictionary of global hooks, by content."""
    modules = (sys.modules["torch.nn.modules.module"], sys.modules["torch.optim.optimizer"])
    return {
        f"{module.__name__}.{name}": dict(thing)
        for module in modules
        for name, thing in vars(module).items()
        if name.startswith("_global") and isinstance(thing, dict)
    }


def state() -> dict[str, Any]:
    return {
        "codes": {name: function.__code__ for name, function in functions().items()},
        "names": {
            name: sorted(vars(sys.modules[name])) for name in ("torch.nn.functional", "torch.optim.optimizer")
        },
        "hooks": hooks(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "files": psutil.Process().num_fds(),
        "children": psutil.Process().children(),
        "meta_path": list(sys.meta_path),
        "excepthook": sys.excepthook,
    }


def ours(code: CodeType) -> bool:
    return any(isinstance(constant, FunctionType) for constant in code.co_consts)


def loop() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout())
    optimizer = torch.optim.Rprop(net.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for (x,) in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(4, 4))):
        optimizer.zero_grad()
        F.mse_loss(net(x), torch.zeros(1, 3)).backward()
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_everything_is_as_it_was(error: type[BaseException] | None) -> None:
    loop()
    before = state()
    hub = Hub(Told())
    hub.install()
    tapped = {function for function in functions().values() if ours(function.__code__)}
    assert len(tapped) >= 40
    try:
        loop()
        if error is not None:
            raise error
    except (ValueError, KeyboardInterrupt, SystemExit):
        pass
    finally:
        hub.remove()
    after = state()
    assert [name for name, code in after["codes"].items() if ours(code)] == []
    assert [name for name, code in before["codes"].items() if after["codes"][name] is not code] == []
    for part in ("names", "hooks", "threads", "files", "children", "meta_path", "excepthook"):
        assert after[part] == before[part], part


def test_a_class_first_used_under_the_hub_is_bare_afterwards(told: Told) -> None:
    hub = Hub(told)
    hub.install()

    class Mine(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # torch wraps it when the first one is made
            super().step(closure)

    optimizer = Mine(nn.Linear(2, 2).parameters(), lr=0.1)
    optimizer.step()
    assert told.names()[-2:] == ["step_begin", "step_end"] or "step_begin" in told.names()
    assert ours(Mine.step.__code__)
    hub.remove()
    told.calls.clear()
    assert not ours(Mine.step.__code__)
    optimizer.step()
    assert told.calls == []


def test_removal_inside_a_tapped_call_is_safe(told: Told) -> None:
    hub = Hub(told)

    class Removes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hub.remove()
            return x

    hub.install()
    Removes()(torch.ones(1))
    assert told.names().count("root_forward") == 1
    assert "root_output" not in told.names()
    assert not ours(nn.Module.__call__.__code__)


def test_another_ones_change_is_left_alone(told: Told) -> None:
    original = F.huber_loss.__code__
    hub = Hub(told)
    hub.install()
    theirs = F.huber_loss.__code__.replace(co_name="theirs")
    F.huber_loss.__code__ = theirs
    hub.remove()
    try:
        assert F.huber_loss.__code__ is theirs
        F.huber_loss(torch.zeros(2), torch.ones(2))
        assert "loss_call" not in told.names()
    finally:
        F.huber_loss.__code__ = original


def test_what_somebody_replaced_before_is_not_touched(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(input: torch.Tensor, target: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
        return ((input - target) ** 2).mean()

    original, code = F.mse_loss, mine.__code__
    monkeypatch.setattr(F, "mse_loss", mine)
    hub = Hub(told)
    hub.install()
    try:
        assert mine.__code__ is code
        assert not ours(original.__code__)
        (row,) = (row for row in hub.patches() if row.name == "torch.nn.functional.mse_loss")
        assert not row.installed
        assert row.reason == f"{__name__} has put another function in its place"
        F.l1_loss(torch.zeros(2), torch.ones(2))
        assert "loss_call" in told.names()
    finally:
        hub.remove()


def test_listener_and_hub_are_let_go(told: Told) -> None:
    class Listener(Told):
        pass

    listener = Listener()
    hub = Hub(listener)
    hub.install()
    loop()
    hub.remove()
    gone = [weakref.ref(listener), weakref.ref(hub)]
    del listener, hub
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_forked_child_is_bare(told: Told, hub: Hub) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover - another process
        try:
            told.calls.clear()
            F.mse_loss(torch.zeros(2), torch.ones(2))
            left = [name for name, function in functions().items() if ours(function.__code__)]
            other = Hub(Told())
            other.install()
            F.mse_loss(torch.zeros(2), torch.ones(2))
            other.remove()
            os.write(write, f"{told.names()} {left}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"[] []"
    F.mse_loss(torch.zeros(2), torch.ones(2))
    assert "loss_call" in told.names()


def test_data_workers_are_silent(told: Told, hub: Hub) -> None:
    class Calls(torch.utils.data.Dataset[float]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> float:
            patched = ours(F.mse_loss.__code__) or ours(random.Random.seed.__code__)
            return F.mse_loss(torch.zeros(2), torch.ones(2)).item() + 10 * patched

    assert ours(F.mse_loss.__code__)
    assert [batch.item() for batch in torch.utils.data.DataLoader(Calls(), num_workers=1)] == [1.0, 1.0]
    assert "loss_call" not in told.names()


def test_importing_the_hooks_loads_no_torch_and_the_hub_no_compiler(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        import unbug.hooks
        assert not {"torch", "numpy"} & set(sys.modules), "import"
        from unbug.hooks import run_program, find_script, child_environment, when_torch_loads
        assert not {"torch", "numpy"} & set(sys.modules), "launcher"
        import torch
        before = set(sys.modules)
        from unbug.hooks import Hub
        hub = Hub(object())
        hub.install()
        torch.nn.functional.mse_loss(torch.nn.Linear(1, 1)(torch.ones(1)), torch.ones(1)).backward()
        hub.remove()
        print(sorted(name for name in set(sys.modules) - before if not name.startswith("unbug")))
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[]\n"
