"""A hub in place for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hooks.listening import Told
from unbug.hooks import Hub


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def hub(told: Told) -> Iterator[Hub]:
    hub = Hub(told)
    hub.watch_modules = True
    hub.install()
    told.calls.clear()  # of optimizers that other tests left alive
    yield hub
    hub.remove()
