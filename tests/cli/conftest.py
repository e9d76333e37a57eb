"""The real command in a process of its own, on real programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent.parent / "src"


class Command:
    """Runs `unbug` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"

    def __call__(self, *words, env=None, code=0, stdin=None, timeout=120):
        done = subprocess.run(
            [sys.executable, "-m", "unbug", *map(str, words)],
            cwd=self.folder, env=self.environment(**(env or {})), input=stdin, capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip
        assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def environment(self, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UNBUG")}
        environment |= {
            "PYTHONPATH": str(SOURCE),
            "OMP_NUM_THREADS": "1",
            "UNBUG_DIR": str(self.runs),
            **more,
        }
        return environment

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def unbug(tmp_path):
    return Command(tmp_path)


TRAIN = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(64, 8)
y = (x.sum(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
print("loss", f"{loss.item():.4f}")
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with one recorded healthy training, shared and only read."""
    command = Command(tmp_path_factory.mktemp("trained"))
    command.write("train.py", TRAIN)
    command("run", "--name", "first run", "--tag", "a", "--tag", "b", "train.py", "--lr", "0.1")
    return command
