"""Statistics of tensors against torch in float64, over types, layouts and damage."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from unbug.numerics import Scratch, decode_histogram, encode_histogram
from unbug.record.device import device_statistics, finish_statistics
from unbug.record.tensors import Unseen, exponents_of, first_tensor, reason_unseen, statistics_of
from unbug.types import STORED_STATISTICS

SCRATCH = Scratch()


def expected(tensor, limits=None):
    values = tensor.detach().double().reshape(-1).numpy()
    finite = values[np.isfinite(values)]
    nan = math.nan
    return {
        "count": values.size,
        "mean": finite.mean() if finite.size else nan,
        "m2": np.square(finite - finite.mean()).sum() if finite.size else nan,
        "min": finite.min() if finite.size else nan,
        "max": finite.max() if finite.size else nan,
        "zeros": (values == 0).sum(),
        "nans": np.isnan(values).sum(),
        "infs": np.isinf(values).sum(),
        "saturated": nan if limits is None else ((values <= limits[0]) | (values >= limits[1])).sum(),
    }


def check(found, tensor, limits=None, rel=2e-5):
    want = expected(tensor, limits)
    scale = max(abs(want["max"]), abs(want["min"]), 1e-30) if math.isfinite(want["max"]) else 1.0
    for name, value in zip(STORED_STATISTICS, found, strict=True):
        slack = rel * scale * (max(want["count"], 1) * scale if name == "m2" else 1)
        slack = slack if name in ("mean", "m2") else 0
        assert value == pytest.approx(want[name], rel=rel, abs=slack, nan_ok=True), (name, value, want[name])


SIZES = [0, 1, 7, 1000, 32768, 32769, 100_003]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_every_type_and_size(size, dtype):
    tensor = (torch.randn(size) * 3).to(dtype)
    check(statistics_of(tensor, SCRATCH), tensor)


@pytest.mark.parametrize("damage", [[math.nan], [math.inf], [-math.inf, math.nan, 0.0], [3e38, 3e38], [-0.0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_damage_is_counted_and_left_out_of_the_moments(damage, dtype):
    tensor = torch.randn(40_000, dtype=dtype)
    tensor[: len(damage)] = torch.tensor(damage, dtype=dtype)
    tensor[-len(damage) :] = torch.tensor(damage, dtype=dtype)
    check(statistics_of(tensor, SCRATCH), tensor)


def test_nothing_finite_has_no_moments():
    check(statistics_of(torch.full((5,), math.nan), SCRATCH), torch.full((5,), math.nan))


@pytest.mark.parametrize("offset", [1e4, 1e6, -3e3])
def test_a_mean_far_from_zero_does_not_cancel(offset):
    tensor = torch.randn(50_000) + offset
    found = dict(zip(STORED_STATISTICS, statistics_of(tensor, SCRATCH), strict=True))
    want = expected(tensor)
    assert found["mean"] == pytest.approx(want["mean"], rel=1e-7)
    assert found["m2"] == pytest.approx(want["m2"], rel=1e-3)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.t(),
        lambda x: x[::2],
        lambda x: x[:, ::3],
        lambda x: x.expand(3, *x.shape),
        lambda x: x.reshape(10, 8, 5, -1).to(memory_format=torch.channels_last),
        lambda x: x[0, 0],
        lambda x: x.flip(0)[1:],
        lambda x: x.requires_grad_(),
    ],
    ids=["transposed", "rows", "columns", "expanded", "channels last", "scalar", "flipped", "with grad"],
)
def test_every_layout(view):
    tensor = view(torch.randn(400, 300))
    check(statistics_of(tensor, SCRATCH), tensor)


@given(st.lists(st.floats(width=32), max_size=50))
@settings(max_examples=200)
def test_any_floats_at_all(values):
    tensor = torch.tensor(values, dtype=torch.float32)
    check(statistics_of(tensor, SCRATCH, limits=(-1.0, 1.0)), tensor, (-1.0, 1.0), rel=1e-4)
    if values:
        check(
            finish_statistics(device_statistics(tensor, limits=(-1.0, 1.0)).tolist()),
            tensor,
            (-1.0, 1.0),
            rel=1e-4,
        )


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.randn(3, dtype=torch.complex64), "complex"),
        (torch.randn(3, device="meta"), "meta"),
        (torch.eye(3).to_sparse(), "sparse"),
    ],
    ids=["complex", "meta", "sparse"],
)
def test_what_cannot_be_seen_says_why(tensor, why):
    assert why in reason_unseen(tensor)
    with pytest.raises(Unseen, match=why):
        statistics_of(tensor, SCRATCH)


def test_first_tensor_looks_into_nested_outputs():
    tensor = torch.ones(1)
    assert first_tensor((None, {"a": [tensor]})) is tensor
    assert first_tensor((), {"x": tensor}) is tensor
    assert first_tensor({"a": 1}) is None


def test_exponents_are_those_of_frexp():
    tensor = torch.cat(
        [torch.randn(500) * 10.0 ** torch.randint(-6, 6, (500,)), torch.tensor([0.0, math.inf, math.nan])]
    )
    first, counts, zeros, nonfinite, looked_at = exponents_of(tensor)
    seen = decode_histogram(encode_histogram(first, counts.tolist(), zeros, nonfinite, looked_at), 0, 0)
    _, exponents = np.frexp(tensor[:500].numpy())
    want = dict(zip(*np.unique(exponents - 1, return_counts=True), strict=True))
    assert {seen.first + index: count for index, count in enumerate(seen.counts) if count} == want
    assert (seen.zeros, seen.nonfinite, seen.looked_at) == (1, 2, 503)


def rows_of(writer, quantity, place, step):
    return {name: dict(writer.read(f"{quantity}.{name}", place))[step] for name in STORED_STATISTICS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_is_written_of_a_step_is_what_was_there(record, dtype):
    with record(every=1) as writer:
        net = nn.Sequential(nn.Linear(50, 700), nn.Tanh(), nn.Linear(700, 3), nn.Softmax(1)).to(dtype)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        seen = []
        for _ in range(3):
            optimizer.zero_grad()
            x = torch.randn(9, 50, dtype=dtype)
            hidden = net[1](net[0](x))
            out = net(x)
            F.mse_loss(out.float(), torch.randn(9, 3)).backward()
            weight, gradient = net[0].weight.detach().clone(), net[0].weight.grad.clone()
            optimizer.step()
            seen.append((weight, gradient, net[0].weight.detach() - weight, hidden.detach(), x))
    for step, (weight, gradient, update, hidden, x) in enumerate(seen):
        check(rows_of(writer, "weight", "0.weight", step).values(), weight)
        check(rows_of(writer, "grad", "0.weight", step).values(), gradient)
        check(rows_of(writer, "update", "0.weight", step).values(), update, rel=1e-3)
        check(rows_of(writer, "activation", "1", step).values(), hidden, (-0.99, 0.99))
        ratio = dict(writer.read("update.ratio", "0.weight"))[step]
        assert ratio == pytest.approx((update.double().norm() / weight.double().norm()).item(), rel=1e-3)
        if step:
            check(rows_of(writer, "input", "data", step).values(), x)


def test_saturation_of_softmax_is_a_share_of_rows(record):
    with record(every=1) as writer:
        net = nn.Sequential(nn.Linear(4, 5), nn.Softmax(-1))
        with torch.no_grad():
            net[0].weight.mul_(1000)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
        for _ in range(2):
            optimizer.zero_grad()
            out = net(torch.randn(200, 4))
            out.sum().backward()
            optimizer.step()
    found = rows_of(writer, "activation", "1", 1)
    assert found["saturated"] / found["count"] == pytest.approx(
        (out.max(1).values >= 0.99).double().mean().item()
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_embeddings_with_sparse_gradients(record, sparse):
    with record(every=1) as writer:
        table = nn.Embedding(100, 8, sparse=sparse)
        optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            table(torch.tensor([1, 5, 5])).pow(2).sum().backward()
            optimizer.step()
    counts = writer.values("grad.count", "weight")
    assert counts == [16 if sparse else 800] * 3
    assert bool(writer.recorder.coverage()["not_seen"]) is sparse


def test_complex_parameters_are_left_out_and_told(record):
    with record(every=1) as writer:
        weight = nn.Parameter(torch.randn(3, dtype=torch.complex64))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            weight.abs().sum().backward()
            optimizer.step()
    assert writer.steps() == {0: 2}
    assert any("complex" in why for why in writer.recorder.coverage()["not_seen"])
