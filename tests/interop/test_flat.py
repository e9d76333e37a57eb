"""Settings of any shape become flat values, and none of their code runs."""

from __future__ import annotations

import argparse
import enum
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from unbug.interop.flat import MOST_KEYS, defaults_of, flat

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=30,
)


class Speed(enum.Enum):
    FAST = "fast"
    SLOW = ("slow", 1)


@dataclass
class Optimizer:
    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    names: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    depth: int = 3


class Hostile:
    """Whatever is done with it is an error."""

    def __repr__(self) -> str:
        raise AssertionError("its text was asked for")

    __str__ = __getattr__ = __iter__ = __len__ = __float__ = __repr__  # type: ignore[assignment]


@given(st.dictionaries(st.text(), PLAIN, max_size=6))
def test_whatever_is_given_becomes_json(given: dict[str, Any]) -> None:
    found = flat(given)
    text = json.dumps(dict(found.values), allow_nan=False)
    assert json.loads(text) == found.values
    assert found.left_out == 0


def test_the_shapes_that_programs_use() -> None:
    config = OmegaConf.create({"model": {"width": 64, "depths": [1, 2]}, "half": "${model.width}"})
    given = {
        "namespace": argparse.Namespace(lr=0.1, out=Path("a/b")),
        "dataclass": Optimizer(lr=0.2),
        "slots": Slotted(),
        "config": config,
        "enums": [Speed.FAST],
        "slow": Speed.SLOW,
        "numpy": np.float32(0.5),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "activation": torch.nn.functional.relu,
        "kind": torch.nn.ReLU,
        "nan": math.nan,
        "huge": 2**70,
        "empty": {},
        "layers": [{"size": 3}, {"size": 4}],
        3: None,
    }
    assert flat(given).values == {
        "namespace.lr": 0.1,
        "namespace.out": "a/b",
        "dataclass.lr": 0.2,
        "dataclass.betas": "[0.9, 0.999]",
        "dataclass.names": "[]",
        "slots.depth": 3,
        "config.model.width": 64,
        "config.model.depths": "[1, 2]",
        "config.half": "${model.width}",
        "enums": '["fast"]',
        "slow": "SLOW",
        "numpy": 0.5,
        "dtype": "torch.float16",
        "device": "cpu",
        "activation": "torch.nn.functional.relu",
        "kind": "torch.nn.modules.activation.ReLU",
        "nan": "nan",
        "huge": str(2**70),
        "empty": "{}",
        "layers.0.size": 3,
        "layers.1.size": 4,
        "3": None,
    }


def test_no_code_of_the_program_runs() -> None:
    class Properties:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            raise AssertionError("its attributes were asked for")

    given = {"one": Hostile(), "many": [Hostile()], "attributes": Properties(), "tensor": torch.zeros(3)}
    values = flat(given).values
    assert values["one"] == "<Hostile>"
    assert values["many"] == '["<Hostile>"]'
    assert str(values["attributes"]).endswith("Properties>")
    assert values["tensor"] == "<Tensor>"


def test_resolvers_of_the_program_do_not_run() -> None:
    asked: list[int] = []
    OmegaConf.register_new_resolver("count", lambda: asked.append(1) or len(asked), replace=True)
    config = OmegaConf.create({"seed": "${count:}", "missing": "???"})
    assert flat(config).values == {"seed": "${count:}", "missing": "???"}
    assert asked == []


def test_what_refers_to_itself_ends() -> None:
    loop: dict[str, Any] = {"lr": 0.1}
    loop["self"] = loop
    found = flat(loop)
    assert found.values["lr"] == 0.1
    assert len(found.values) < 20


def test_too_many_keys_are_counted() -> None:
    found = flat({f"k{index}": index for index in range(MOST_KEYS + 7)})
    assert len(found.values) == MOST_KEYS
    assert found.left_out == 7


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("api_key", 123456, "[redacted]"),
        ("optimizer.password", 98765, "[redacted]"),
        ("pad_token", 50256, 50256),
        ("tokens", 4096, 4096),
        ("use_auth", True, True),
    ],
)
def test_numbers_under_a_secret_name_stay_out(key: str, value: object, wanted: object) -> None:
    assert flat({key: value}).values == {key: wanted}


def test_defaults_come_from_the_fields() -> None:
    assert defaults_of(Optimizer()) == {"lr": 0.1, "betas": "[0.9, 0.999]"}
    assert defaults_of({"lr": 0.1}) is None
