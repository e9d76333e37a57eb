"""Programs that use other libraries, each run bare and recorded, in folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import unbug
from tests.interop.collecting import Collected

SOURCE = Path(unbug.__file__).parent.parent
PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Twice:
    """What a program left behind without unbug and with it.

    Args:
        said, recorded_said: What it printed.
    """

    bare: Path
    watched: Path
    said: str
    recorded_said: str

    def rows(self, origin: str) -> list[dict[str, Any]]:
        """What was recorded under an origin."""
        with unbug.open("@last", dir=self.watched / "runs") as view:
            return [row for row in view.table("scalars").to_pylist() if row["origin"] == origin]

    def points(self, origin: str) -> dict[str, list[tuple[float | None, float]]]:
        """By name: the program's own step, and the value."""
        found: dict[str, list[tuple[float | None, float]]] = {}
        for row in self.rows(origin):
            found.setdefault(row["name"], []).append((row["user_step"], row["value"]))
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Fields of the events of a kind, with training and step."""
        with unbug.open("@last", dir=self.watched / "runs") as view:
            return [
                {**event.fields, "training": event.training, "step": event.step}
                for event in view.events(kind)
            ]


def environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UNBUG", "PYTEST", "WANDB", "MLFLOW", "TRACKIO", "HF_", "COV"))
    }
    return {
        **kept,
        "PYTHONPATH": str(SOURCE),
        "OMP_NUM_THREADS": "1",
        "UNBUG_DIR": str(folder / "runs"),
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "HOME": str(folder),
    }


def run(folder: Path, *words: str) -> str:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment(folder),
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Twice]]:
    """Runs a program of `programs/`, bare and then under `unbug run`, with the same words."""

    def both(program: str, *words: str) -> Twice:
        folder = tmp_path_factory.mktemp(program.partition(".")[0])
        script = str(PROGRAMS / program)
        bare = run(folder / "bare", script, *words)
        watched = run(folder / "watched", "-m", "unbug", "run", "--quiet", script, *words)
        return Twice(folder / "bare", folder / "watched", bare, watched)

    yield both


@pytest.fixture
def collected() -> Iterator[Collected]:
    """What other libraries do in this process is taken in for the length of a test."""
    made = Collected()
    watching = made.watching()
    watching.install()
    yield made
    watching.close()
    assert made.faults == []
