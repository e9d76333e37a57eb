"""A signal that comes while unbug is at work: what its handler raises passes, and is as without unbug."""

from __future__ import annotations

import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import unbug
from unbug.hooks import Hub, from_signal

OURS = str(Path(unbug.__file__).parent)
METHODS = (
    "root_forward", "root_output", "module_output", "loss_call", "backward_begin", "backward_end", "clip",
    "step_begin", "step_end", "zero_grad", "scheduler_step", "batch_begin", "batch_end",
)  # fmt: skip


class Stop(Exception):
    """What a program may raise to end in time."""


def stop(number: int, frame: object) -> None:
    raise Stop


class Handler:
    """Handlers need not be functions."""

    def __call__(self, number: int, frame: object) -> None:
        raise Stop

    def method(self, number: int, frame: object) -> None:
        raise Stop


class Listener:
    """Hears a signal in the middle of one method."""

    def __init__(self, method: str) -> None:
        self.counts: dict[str, int] = {}
        self.faults: list[str] = []
        self.method = method

    def fault(self, where: str, error: BaseException) -> None:
        self.faults.append(where)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def count(*_: Any) -> None:
            self.counts[name] = self.counts.get(name, 0) + 1
            if name == self.method:
                torch.zeros(1).add(1)
                signal.raise_signal(signal.SIGINT)

        return count


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def loop() -> None:
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(6, 4), torch.arange(6) % 4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for inputs, targets in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("handler", [signal.default_int_handler, stop, Handler(), Handler().method])
@pytest.mark.parametrize("method", METHODS)
def test_it_passes_and_shows_nothing_of_unbug(method: str, handler: Any) -> None:
    signal.signal(signal.SIGINT, handler)
    listener = Listener(method)
    hub = Hub(listener)
    hub.watch_modules = True
    hub.install()
    try:
        with pytest.raises((KeyboardInterrupt, Stop)) as caught:
            loop()
        frames = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert not any(name.startswith(OURS) for name in frames), frames
        own = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert "count" not in own  # the listener
        assert (own[-1] in ("stop", "__call__", "method")) is (handler is not signal.default_int_handler)
        listener.method = ""
        listener.counts.clear()
        loop()
        control = dict(listener.counts)
        listener.counts.clear()
        loop()
    finally:
        hub.remove()
    assert listener.faults == []
    assert listener.counts == control
    assert all(control[name] >= 3 for name in METHODS)


def test_an_error_of_ours_is_no_interrupt() -> None:
    signal.signal(signal.SIGINT, stop)
    try:
        raise ValueError("a fault")
    except ValueError as error:
        assert not from_signal(error)
    assert from_signal(KeyboardInterrupt())


def test_what_the_program_raises_in_a_call_keeps_its_frames() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise Stop

    hub = Hub(Listener(""))
    hub.install()
    try:
        with pytest.raises(Stop) as caught:
            Odd()(torch.ones(1))
    finally:
        hub.remove()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "forward"


@pytest.mark.parametrize("broken", ["raise KeyboardInterrupt", "raise OSError('no such library')"])
def test_an_import_of_torch_that_fails_is_shown_as_without_unbug(broken: str, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"def load():\n    {broken}\n\n\nload()\n")
    (tmp_path / "program.py").write_text("import torch\n")
    waiting = "from unbug.hooks import when_torch_loads\nwhen_torch_loads(print)\n"
    (tmp_path / "waiting.py").write_text(waiting + "import torch\n")

    def said(name: str) -> str:
        done = subprocess.run(
            [sys.executable, name], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stderr.replace("waiting.py", "program.py").replace("line 3", "line 1")

    assert said("waiting.py") == said("program.py")


def test_an_interrupt_while_the_watching_begins_is_the_importing_line_s(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("x = 1\n")
    (tmp_path / "program.py").write_text(
        "import signal\nfrom unbug.hooks import when_torch_loads\n"
        "when_torch_loads(lambda: signal.raise_signal(signal.SIGINT))\n"
        "try:\n    import torch\nexcept KeyboardInterrupt as error:\n"
        "    import traceback\n    print([f.filename for f in traceback.extract_tb(error.__traceback__)])\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "unbug" not in done.stdout.replace(str(tmp_path), "")
    assert "program.py" in done.stdout, done.stderr
