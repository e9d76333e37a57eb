"""Programs that are really recorded, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import unbug

SOURCE = Path(unbug.__file__).parent.parent
TRAINING = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(64, 8)
y = (x.sum(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def train(steps=30):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()
"""


class Place:
    """A folder with programs and runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        (folder / "training.py").write_text(TRAINING)

    def write(self, text, name="program.py"):
        (self.folder / name).write_text(textwrap.dedent(text))
        return name

    def environment(self, **more):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNBUG", "PYTEST"))}
        return {
            **kept,
            "PYTHONPATH": str(SOURCE),
            "OMP_NUM_THREADS": "1",
            "UNBUG_DIR": str(self.runs),
            **more,
        }

    def start(self, *words, env=None, **options):
        """Start `python WORDS…` in the folder."""
        return subprocess.Popen(
            [sys.executable, *words], cwd=self.folder, env=self.environment(**(env or {})), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def python(self, *words, env=None, code=0, stdin=""):
        """Run `python WORDS…` to its end."""
        with self.start(*words, env=env, stdin=subprocess.PIPE) as child:
            out, err = child.communicate(stdin, timeout=120)
        assert code is None or child.returncode == code, f"{child.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, child.returncode, out, err)

    def program(self, text, *words, **options):
        """Run a program as it is, under `python`."""
        return self.python(self.write(text), *words, **options)

    def recorded(self, text, *words, options=(), **more):
        """Run a program under `unbug run`."""
        return self.python("-m", "unbug", "run", *options, self.write(text), *words, **more)

    def open(self, run="@last"):
        return unbug.open(run, dir=self.runs)

    def console(self, stream="stdout", run="@last"):
        with self.open(run) as view:
            events = view.events("console")
            return "".join(event.fields["text"] for event in events if event.fields["stream"] == stream)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)
