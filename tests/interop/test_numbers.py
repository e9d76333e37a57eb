"""Numbers: whatever can be one is one, bounded, and what is none is counted as what it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.interop.collecting import Collected
from unbug.interop.media import Media, kind_of
from unbug.interop.numbers import MAX_SERIES, Numbers, number_of

NUMBERS = st.integers() | st.floats() | st.booleans()


def same(one: float | None, two: float) -> bool:
    return one is not None and (one == two or (math.isnan(one) and math.isnan(two)))


@given(NUMBERS)
def test_pythons_numbers(value: float) -> None:
    try:
        wanted = float(value)
    except OverflowError:
        wanted = math.inf if value > 0 else -math.inf
    assert same(number_of(value, read=False), wanted)


@given(st.floats(), st.sampled_from([(), (1,), (1, 1, 1)]), st.booleans())
def test_arrays_and_tensors_with_one_element(value: float, shape: tuple[int, ...], grad: bool) -> None:
    array = np.full(shape, value)
    assert same(number_of(array, read=False), value)
    assert same(number_of(array.dtype.type(value), read=False), value)
    tensor = torch.tensor(array, requires_grad=grad)
    assert same(number_of(tensor, read=False), value)
    assert tensor.requires_grad is grad


NONE: dict[str, Any] = {
    "text": "0.5",
    "none": None,
    "two": torch.zeros(2),
    "no element": np.zeros(0),
    "complex": torch.tensor(1j),
    "numpy complex": np.complex64(1j),
    "meta": torch.zeros(1, device="meta"),
    "list": [1.0],
    "numpy text": np.array("1"),
    "object": object(),
    "date": np.datetime64("2020-01-01"),
}


@pytest.mark.parametrize("value", NONE.values(), ids=NONE.keys())
def test_what_is_no_number(value: Any) -> None:
    assert number_of(value, read=True) is None


def test_a_users_mode_and_subclass_see_nothing() -> None:
    class Seen(torch.overrides.TorchFunctionMode):
        calls = 0

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            Seen.calls += 1
            return function(*args, **(kwargs or {}))

    tensor = torch.tensor(2.0)
    with Seen():
        assert number_of(tensor, read=True) == 2.0
    assert Seen.calls == 0


def numbers(collected: Collected) -> tuple[Numbers, list[tuple[Any, ...]]]:
    others: list[tuple[Any, ...]] = []
    position = lambda: (0, 0, 0, 0)  # noqa: E731
    return Numbers(collected, position, lambda *other: others.append(other)), others  # type: ignore[arg-type]


def test_nested_values_are_flattened_and_others_told() -> None:
    collected = Collected()
    made, others = numbers(collected)
    picture = object()
    made.many(
        "wandb",
        {"a": 1, "b": {"c": 2.0, "d": {"e": True}}, "text": "x", "p": picture, "n": None},
        5,
        read=True,
    )
    assert collected.rows == [("wandb", "a", 1.0, 5), ("wandb", "b.c", 2.0, 5), ("wandb", "b.d.e", 1.0, 5)]
    assert others == [("wandb", "text", "x", 5), ("wandb", "p", picture, 5)]


def test_what_nobody_reads_stays_where_it_is() -> None:
    collected = Collected()
    made, others = numbers(collected)
    made.many("lightning", {"loss": torch.zeros((), device="meta"), "epoch": 1}, 0, read=False)
    assert collected.rows == [("lightning", "epoch", 1.0, 0)]
    assert (made.unread, others) == (1, [])


def test_names_of_origins_stay_apart() -> None:
    collected = Collected()
    made, _ = numbers(collected)
    made.of("tensorboard")("loss", 1.0, 0)
    made.of("wandb")("loss", 2.0, np.int64(3))
    made.many("wandb", {"loss": 3.0}, None, read=True)
    assert collected.rows == [
        ("tensorboard", "loss", 1.0, 0),
        ("wandb", "loss", 2.0, 3.0),
        ("wandb", "loss", 3.0, None),
    ]
    assert len(collected.groups) == 2


def test_a_program_that_logs_under_random_names_is_bounded() -> None:
    collected = Collected()
    made, _ = numbers(collected)
    log = made.of("tensorboard")
    for index in range(MAX_SERIES + 10):
        log(f"sample {index}", 1.0, index)
    for index in range(400):  # sets of names that never come again
        made.many("wandb", {f"a{index}": 1.0, f"b{index % 7}": 2.0}, index, read=True)
    assert made.dropped == 10
    assert len([row for row in collected.rows if row[0] == "wandb"]) == 800
    assert len(collected.groups) < MAX_SERIES + 1000


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100)), max_size=300))
def test_media_are_counted_right_however_often_they_are_told(logged: list[tuple[str, int]]) -> None:
    told: dict[str, dict[str, Any]] = {}
    events = 0

    def event(fields: Any) -> None:
        nonlocal events
        events += 1
        told[fields["name"]] = dict(fields)

    media = Media(event)
    for name, step in logged:
        media.add("wandb", "image", name, step)
    media.close()
    for name in {name for name, _ in logged}:
        steps = [step for one, step in logged if one == name]
        assert told[name]["count"] == len(steps)
        assert (told[name]["first_step"], told[name]["last_step"]) == (steps[0], steps[-1])
    assert events <= 8
    assert len(told) == len({name for name, _ in logged})


def test_kinds_have_names() -> None:
    import pandas
    import wandb
    from PIL import Image

    assert kind_of("some") == "text"
    assert kind_of([np.zeros(3)]) == "array"
    assert kind_of(Image.new("L", (2, 2))) == "image"
    assert kind_of([wandb.Html("<p>")]) == "html"
    assert kind_of(pandas.DataFrame({"a": [1]})) == "table"
    assert kind_of([]) == kind_of(object()) == "object"
