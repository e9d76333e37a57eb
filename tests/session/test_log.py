"""`run.log`: what is kept, what is refused."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unbug
from unbug.errors import UsageError, ValueNotLoggableError
from unbug.session.userlog import MAX_SHAPES, UserLog


@pytest.fixture
def run(tmp_path):
    with unbug.run(dir=tmp_path / "runs", name="log", quiet=True) as run:
        yield run


def _values(run, name):
    run.close()
    with unbug.open(run.path) as view:
        return view.read(name).values.tolist()


ACCEPTED = {
    "float": (0.25, 0.25),
    "int": (3, 3.0),
    "huge int": (10**400, math.inf),
    "huge negative int": (-(10**400), -math.inf),
    "bool": (True, 1.0),
    "float32": (np.float32(0.5), 0.5),
    "int64": (np.int64(7), 7.0),
    "numpy bool": (np.bool_(True), 1.0),
    "numpy 0-d": (np.array(2.5), 2.5),
    "numpy of one": (np.array([[2.5]]), 2.5),
    "tensor 0-d": (torch.tensor(1.5), 1.5),
    "tensor of one": (torch.tensor([1.5]), 1.5),
    "bfloat16": (torch.tensor(1.5, dtype=torch.bfloat16), 1.5),
    "tensor with gradient": (torch.tensor(1.5, requires_grad=True) * 2, 3.0),
    "parameter of one": (torch.nn.Parameter(torch.ones(1)), 1.0),
    "infinity": (-math.inf, -math.inf),
}


@pytest.mark.parametrize(("given", "kept"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(run, given, kept):
    run.log({"value": given})
    assert _values(run, "value") == [kept]


def test_nan_is_a_value(run):
    run.log({"value": float("nan")})
    run.log({"value": torch.tensor(float("nan"))})
    assert [math.isnan(value) for value in _values(run, "value")] == [True, True]


def test_the_value_is_taken_at_the_call(run):
    tensor, array = torch.ones(1), np.ones(1)
    run.log({"tensor": tensor, "array": array})
    tensor += 5
    array += 5
    assert _values(run, "tensor") == [1.0]


REFUSED = {
    "text": "0.5",
    "none": None,
    "list": [1.0],
    "complex": 1j,
    "array": np.zeros(3),
    "empty array": np.zeros(0),
    "tensor": torch.zeros(2, 2),
    "complex tensor": torch.tensor(1j),
    "text array": np.array("x"),
    "object": object(),
    "type": float,
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_refused_with_its_name_and_nothing_of_the_call_is_kept(run, given):
    with pytest.raises(ValueNotLoggableError, match=r"cannot log 'bad/✗'.*is no single number"):
        run.log({"good": 1.0, "bad/✗": given})
    run.log({"good": 2.0})
    assert _values(run, "good") == [2.0]


@pytest.mark.parametrize(
    ("values", "says"), [({}, "empty"), ({1: 2.0}, "a name is text"), ({None: 1.0}, "a name is")]
)
def test_wrong_names(run, values, says):
    with pytest.raises(UsageError, match=says):
        run.log(values)


@pytest.mark.parametrize("step", ["one", [1], torch.zeros(2)])
def test_wrong_step(run, step):
    with pytest.raises(ValueNotLoggableError, match="cannot log 'step'"):
        run.log({"value": 1.0}, step=step)


def test_steps_out_of_order_are_kept_as_they_came(run):
    for step in (5, 3, 3, np.int64(9), 2.5, -1):
        run.log({"value": float(step)}, step=step)
    run.log({"value": 0.0})
    run.close()
    with unbug.open(run.path) as view:
        points = view.read("value")
        order = np.argsort(points.t_ns, kind="stable")
        steps = points.user_step[order]
    assert steps[:-1].tolist() == [5, 3, 3, 9, 2.5, -1]
    assert math.isnan(steps[-1])


class _Position:
    def position(self):
        return (0, 5, 0, 0)


class _Rows:
    """A writer that keeps rows by the names of their series."""

    def __init__(self):
        self.groups, self.rows = [], []

    def group(self, series, *, kind="scalar"):
        names = tuple(one.name for one in series)
        if names not in self.groups:
            self.groups.append(names)
        return self.groups.index(names)

    def row(self, group, values, **where):
        self.rows.append((dict(zip(self.groups[group], values, strict=True)), where))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32))
def test_random_subsets_lose_nothing_and_need_few_groups(names, seed):
    rows, chance = _Rows(), random.Random(seed)
    log = UserLog(rows, _Position())
    given = []
    for number in range(600):
        some = chance.sample(range(names), chance.randint(1, names))
        values = {f"series {name}": float(number * 100 + name) for name in some}
        log.log(values, step=number)
        given += [(number, name, value) for name, value in values.items()]
    kept = [(where["user_step"], name, value) for row, where in rows.rows for name, value in row.items()]
    assert sorted(kept) == sorted(given)
    assert len(rows.groups) <= MAX_SHAPES + names
    assert all((where["training"], where["step"]) == (0, 5) for _, where in rows.rows)
