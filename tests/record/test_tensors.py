"""Looks at tensors against torch's own reductions, with the kernel and without it."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from unbug.numerics import Scratch, decode_histogram, kernel_state, open_kernel
from unbug.record.tensors import (
    Unseen,
    difference_of,
    exponents_of,
    squares_of,
    statistics_of,
    summaries_of,
    summary_of,
)
from unbug.types import STORED_STATISTICS

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
LIMITS = (-0.25, 1.5)


def without_kernel():
    scratch = Scratch()
    scratch.kernel = None
    return scratch


WAYS = {"numpy": without_kernel()} | ({"kernel": Scratch()} if open_kernel() else {})


@pytest.fixture(params=WAYS)
def scratch(request):
    return WAYS[request.param]


def numbers(number):
    """The values of one tensor: the distribution goes by its number."""
    random = torch.Generator().manual_seed(number)
    size = int(torch.randint(0, 6000, (), generator=random)) if number % 10 else 20_000
    normal = torch.randn(size, generator=random, dtype=torch.float64)
    chance = torch.rand(size, generator=random, dtype=torch.float64)
    kinds = (
        lambda: normal,
        lambda: normal * 0.02,
        lambda: normal.relu(),
        lambda: torch.exp(4 * normal),
        lambda: normal**5,
        lambda: normal + 1e4,
        lambda: normal * 1e-41,
        lambda: torch.full_like(normal, 0.1),
        lambda: torch.where(chance < 0.01, math.nan, normal),
        lambda: torch.where(chance < 0.02, math.inf, torch.where(chance < 0.04, -math.inf, normal)),
        lambda: torch.where(chance < 0.001, 1e30, normal),
        lambda: torch.full_like(normal, math.nan),
        lambda: (chance < 0.5).double() * -0.0,
        lambda: 2.0 ** (280 * chance - 145),
    )
    return kinds[number % len(kinds)](), random


def laid_out(values, random, number):
    """The same values lying in memory in one of many ways."""
    shaped = values[: values.numel() // 6 * 6].reshape(2, 3, -1)
    gaps = torch.stack([shaped, shaped + 1])
    ways = (
        lambda: values,
        lambda: shaped,
        lambda: shaped.permute(2, 0, 1),
        lambda: shaped[:, :, ::2],
        lambda: gaps[0].transpose(0, 1)[1:],
        lambda: shaped[:, 1:2].expand(2, 5, -1),
        lambda: values[1:],
        lambda: values[:6].reshape(()) if values.numel() == 1 else values[:1].reshape(-1),
    )
    return ways[number // 14 % len(ways)]()


def wanted(tensor):
    """What torch says, element by element in double precision."""
    wide = tensor.double()
    finite = wide[torch.isfinite(wide)]
    mean = finite.mean() if finite.numel() else torch.tensor(math.nan)
    # Limits are compared in the precision of the elements, half ones as float32.
    kind = torch.float32 if tensor.is_floating_point() and tensor.dtype != torch.float64 else torch.float64
    low, high = torch.tensor(LIMITS, dtype=kind).double()
    return {
        "count": tensor.numel(),
        "mean": mean.item(),
        "m2": (finite - mean).square().sum().item() if finite.numel() else math.nan,
        "min": finite.min().item() if finite.numel() else math.nan,
        "max": finite.max().item() if finite.numel() else math.nan,
        "zeros": (wide == 0).sum().item(),
        "nans": torch.isnan(wide).sum().item(),
        "infs": torch.isinf(wide).sum().item(),
        "saturated": ((wide <= low) | (wide >= high)).sum().item(),
    }


def exponents_wanted(tensor):
    """Counts by exponent; what is subnormal in the type that is read counts as its smallest exponent."""
    double = tensor.dtype == torch.float64
    wide = tensor.double().flatten()
    kept = wide[torch.isfinite(wide) & (wide != 0)]
    exponents = np.frexp(kept.numpy())[1] - 1
    exponents = np.maximum(exponents, -1023 if double else -127)
    # 2**-127 of a float is subnormal itself, its exponent is that of all of them.
    values, counts = np.unique(exponents, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def same(found, expected, *, exact):
    for name, value in zip(STORED_STATISTICS, found, strict=True):
        want = expected[name]
        if name not in ("mean", "m2"):
            assert value == want or (math.isnan(value) and math.isnan(want)), name
            continue
        top = max(abs(expected["min"]), abs(expected["max"]))
        size = top if name == "mean" else top * top * expected["count"]
        near = {"rel": 1e-12, "abs": 1e-17 * size} if exact else {"rel": 1e-4, "abs": 1e-6 * size}
        assert value == pytest.approx(want, **near, nan_ok=True), name


def tensors(start, stop):
    for number in range(start, stop):
        values, random = numbers(number)
        kind = (*FLOATS, *INTEGERS)[number % 13 % 10]
        if kind in INTEGERS:
            values = torch.nan_to_num(values, nan=3, posinf=100, neginf=-100).clamp(-100, 100)
            values = values.clamp(0) if kind == torch.uint8 else values
        yield laid_out(values.to(kind), random, number)


@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_a_thousand_tensors_are_as_torch_says(scratch, start):
    for tensor in tensors(start, start + 100):
        expected = wanted(tensor)
        exact = scratch.kernel is not None
        same(statistics_of(tensor, scratch, limits=LIMITS), expected, exact=exact)
        squares = tensor.double().square().sum().item()
        near = 1e-12 if exact else 1e-4
        if exact or expected["max"] < 1e18:
            assert squares_of(tensor, scratch) == pytest.approx(squares, rel=near, nan_ok=True)
        if not tensor.is_floating_point():
            with pytest.raises(Unseen, match="integers"):
                summary_of(tensor, scratch)
            continue
        found, packed = summary_of(tensor, scratch, limits=LIMITS)
        same(found, expected, exact=exact)
        histogram = decode_histogram(packed, 0, 0)
        if exact:
            counted = {histogram.first + i: n for i, n in enumerate(histogram.counts) if n}
            assert counted == exponents_wanted(tensor)
            assert histogram.looked_at == tensor.numel() and histogram.zeros == expected["zeros"]
            assert histogram.nonfinite == expected["nans"] + expected["infs"]
            first, counts, zeros, nonfinite, looked_at = exponents_of(tensor)
            assert {first + i: n for i, n in enumerate(counts.tolist()) if n} == counted
            assert (zeros, nonfinite, looked_at) == (histogram.zeros, histogram.nonfinite, tensor.numel())
        else:
            total = sum(histogram.counts) + histogram.zeros + histogram.nonfinite
            assert total == histogram.looked_at <= max(tensor.numel(), 1)


def test_many_tensors_at_once(scratch):
    some = [
        *tensors(0, 60),
        torch.randn(3).to_sparse(),
        torch.randn(2, dtype=torch.complex64),
        torch.empty(0),
    ]
    found = summaries_of(some, scratch)
    for tensor, row in zip(some[:60], found, strict=False):
        np.testing.assert_array_equal(row, statistics_of(tensor, scratch))
    assert np.isnan(found[60:62]).all() and found[62, 0] == 0


def test_differences(scratch):
    before = torch.randn(70, 900)
    after = before + torch.randn(70, 900) * 1e-3
    found = difference_of(after, before, scratch)
    if scratch.kernel is None:
        assert found is None
        return
    statistics, squares = found
    assert np.array_equal(statistics, statistics_of(after - before, scratch), equal_nan=True)
    assert squares == pytest.approx(before.double().square().sum().item(), rel=1e-13)
    turned = difference_of(after.t(), before.t(), scratch)
    assert np.array_equal(turned[0], statistics, equal_nan=True)
    assert difference_of(after, before.t().contiguous().t(), scratch) is None
    assert difference_of(after, before.double(), scratch) is None
    assert difference_of(after[:, ::2], before[:, ::2], scratch) is None
    assert difference_of(after.int(), before.int(), scratch) is None


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_eight_bits(scratch, kind):
    tensor = (torch.randn(5000) * 3).to(getattr(torch, kind))
    same(statistics_of(tensor, scratch, limits=LIMITS), wanted(tensor.float()), exact=False)
    assert decode_histogram(summary_of(tensor, scratch)[1], 0, 0).looked_at == 5000


def test_the_imaginary_part_of_a_conjugate(scratch):
    tensor = torch.randn(500, dtype=torch.complex64).conj().imag
    assert tensor.is_neg()
    same(statistics_of(tensor, scratch, limits=LIMITS), wanted(tensor), exact=False)


def test_flushing_subnormals_changes_nothing():
    """The program's floating-point mode neither reaches the kernel nor is changed by it."""
    scratch = WAYS.get("kernel")
    if scratch is None:
        pytest.skip(f"there is no kernel here: {kernel_state()[1]}")
    tiny = torch.full((1000,), 1e-41)
    expected = statistics_of(tiny, scratch)
    assert expected[1] > 0 and expected[5] == 0
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormal numbers")
    try:
        assert statistics_of(tiny, scratch)[:8] == expected[:8]
        assert (tiny * 0.5).sum().item() == 0, "the mode must be as the program set it"
    finally:
        torch.set_flush_denormal(False)


def test_looks_at_what_requires_a_gradient(scratch):
    weight = torch.nn.Parameter(torch.randn(30, 30))
    product = weight * 2
    statistics_of(product, scratch)
    summary_of(weight, scratch)
    assert product.grad_fn is not None and weight._version == 0 and weight.grad is None


def refused():
    class Own(torch.Tensor):
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield "sparse", torch.randn(3, 3).to_sparse()
        yield "sparse", torch.randn(4, 4).to_sparse_csr()
        yield "complex", torch.randn(2, dtype=torch.complex64)
        yield "meta tensor", torch.empty(3, device="meta")
        yield "tensor subclass Own", torch.randn(3).as_subclass(Own)
        with FakeTensorMode():
            yield "tensor subclass FakeTensor", torch.empty(3)
            yield "tensor subclass FakeTensor", torch.nn.Parameter(torch.empty(3))
            yield "tensor subclass FakeTensor", torch.empty(3, device="cuda")


@pytest.mark.parametrize("number", range(8))
def test_what_cannot_be_looked_at(scratch, number):
    reason, tensor = list(refused())[number]
    for look in (statistics_of, squares_of, summary_of):
        with pytest.raises(Unseen, match=f"^{reason}$"):
            look(tensor, scratch)
    with pytest.raises(Unseen, match=f"^{reason}$"):
        exponents_of(tensor)


def test_a_tensor_inside_a_function_transform(scratch):
    """Within vmap a tensor has no memory of its own."""
    reasons = []

    def look(row):
        for each in (statistics_of, squares_of):
            try:
                each(row, scratch)
            except Unseen as why:
                reasons.append(str(why))
        return row * 2

    torch.vmap(look)(torch.randn(4, 3))
    assert len(reasons) == 2
