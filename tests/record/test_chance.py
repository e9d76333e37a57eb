"""Numbers drawn from global generators that nobody seeded."""

import random

import numpy as np
import pytest

from unbug.record.chance import Chance


@pytest.fixture(autouse=True)
def as_before():
    python, source = random.getstate(), np.random.mtrand._rand
    yield
    random.setstate(python)
    np.random.set_state(source.get_state())


@pytest.fixture
def unseeded(monkeypatch):
    """NumPy's global generator as it is when nobody has seeded it."""
    monkeypatch.setattr(np.random.mtrand, "_rand", np.random.RandomState(np.random.MT19937()))


def test_python_drawn_from(unseeded):
    chance = Chance()
    random.random()
    assert chance.fields({"torch": 0}) == {"torch_seeded": True, "unseeded": ["python"]}
    assert chance.fields({"python": 0}) == {"torch_seeded": False, "unseeded": []}


def test_numpy_drawn_from(unseeded):
    chance = Chance()
    np.random.mtrand._rand.random_sample()
    assert chance.fields({}) == {"torch_seeded": False, "unseeded": ["numpy"]}


def test_numpy_seeded(unseeded):
    chance = Chance()
    np.random.mtrand._rand.seed(3)
    np.random.mtrand._rand.random_sample()
    assert chance.fields({})["unseeded"] == []


def test_looking_draws_nothing(unseeded):
    before = random.getstate(), np.random.mtrand._rand.get_state(legacy=False)["state"]["pos"]
    assert Chance().fields({})["unseeded"] == []
    assert (random.getstate(), np.random.mtrand._rand.get_state(legacy=False)["state"]["pos"]) == before
