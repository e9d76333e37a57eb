"""Runs for the store's tests: in a temporary folder, on a clock that only moves when told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unbug.store import RunWriter, create_run, open_writer
from unbug.types import Place, Series


class Clock:
    """Nanoseconds that stand still until `now` is set."""

    def __init__(self) -> None:
        self.now = 1_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run_path(tmp_path: Path, clock: Clock) -> Path:
    path, _ = create_run(tmp_path / "unbug-runs", name="a run", clock_ns=clock)
    return path


@pytest.fixture
def writer(run_path: Path, clock: Clock) -> RunWriter:
    return open_writer(run_path, clock_ns=clock)


@pytest.fixture
def user_series() -> Callable[..., tuple[Series, ...]]:
    """Series of the user's own, at the loop."""

    def make(*names: str) -> tuple[Series, ...]:
        place = Place(path="", kind="loop")
        return tuple(Series(name=name, place=place, origin="user") for name in names)

    return make
