"""Looks at tensors on a device: the same numbers, and nothing that would wait for it."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from recorded import MemoryWriter
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from unbug.numerics import Scratch, decode_histogram
from unbug.record import device
from unbug.record.device import (
    device_difference,
    device_norm,
    device_statistics,
    device_summary,
    finish_difference,
    finish_statistics,
    finish_summary,
    queued_statistics,
    queued_summary,
)
from unbug.record.items import DataSlot, Groups
from unbug.record.readings import Readings
from unbug.record.rows import Rows
from unbug.record.tensors import Unseen, exponents_of, statistics_of, summary_of

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
KINDS = (*FLOATS, torch.int64, torch.uint8, torch.bool)
LIMITS = (-0.25, 1.5)

# Operators of torch that need a value on the host, or a size that only the device knows.
WAITING = {
    "aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal", "aten::nonzero",
    "aten::nonzero_static", "aten::masked_select", "aten::bincount", "aten::unique", "aten::_unique2",
    "aten::unique_consecutive", "aten::unique_dim", "aten::repeat_interleave", "aten::histc",
    "aten::histogram", "aten::_assert_async", "aten::allclose", "aten::index.Tensor",
}  # fmt: skip
# Operators that torch refuses, or runs by atomics, under `use_deterministic_algorithms`.
BY_ATOMICS = {"aten::scatter_add", "aten::scatter_add_", "aten::index_add", "aten::index_add_", "aten::put_",
              "aten::index_put_", "aten::cumsum", "aten::kthvalue", "aten::median"}  # fmt: skip


class Watch(TorchDispatchMode):
    """Keeps the names of operators, and fails on one that leaves the device."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        self.seen |= {name, f"{name}.{function._overloadname}"}
        result = function(*args, **(kwargs or {}))
        for one in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(one, torch.Tensor):
                assert one.device.type == "cuda", f"{name} leaves the device"
        return result


def some(kind, number, size=5000):
    random = torch.Generator().manual_seed(number)
    normal = torch.randn(size, generator=random, dtype=torch.float64)
    chance = torch.rand(size, generator=random, dtype=torch.float64)
    if not kind.is_floating_point:
        return (normal * 9).clamp(0).to(kind)
    values = (
        normal * 3,
        normal.relu(),
        torch.where(chance < 0.1, math.nan, torch.where(chance > 0.9, math.inf, normal + 100)),
        torch.full_like(normal, math.nan),
        normal * 1e-41,
        normal[:0],
        2.0 ** (20 * chance - 10),
    )
    return values[number % len(values)].to(kind)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("number", range(7))
def test_the_same_numbers_as_on_the_processor(kind, number):
    tensor = some(kind, number)
    wanted = statistics_of(tensor, Scratch(), limits=LIMITS)
    found = finish_statistics(queued_statistics(tensor, limits=LIMITS).tolist())
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)
    assert found[3:] == pytest.approx(wanted[3:], rel=0, nan_ok=True)
    if kind.is_floating_point:
        statistics, packed = finish_summary(queued_summary(tensor, limits=LIMITS).tolist())
        assert statistics == pytest.approx(found, rel=0, nan_ok=True)
        histogram = decode_histogram(packed, 0, 0)
        first, counts, zeros, nonfinite, looked_at = exponents_of(tensor)
        assert (histogram.zeros, histogram.nonfinite, histogram.looked_at) == (zeros, nonfinite, looked_at)
        counted = {histogram.first + i: n for i, n in enumerate(histogram.counts) if n}
        assert counted == {first + i: n for i, n in enumerate(counts.tolist()) if n}


def test_a_large_mean_keeps_its_small_variance():
    values = torch.randn(100_000, generator=torch.Generator().manual_seed(0)) + 1e4
    found = queued_statistics(values).tolist()
    exact = values.double()
    assert found[1] == pytest.approx(exact.mean().item(), rel=1e-9)
    assert found[2] == pytest.approx((exact - exact.mean()).square().sum().item(), rel=1e-5)


def test_large_tensors_are_sampled(monkeypatch):
    monkeypatch.setattr(device, "DEVICE_ELEMENTS", 1000)
    monkeypatch.setattr(device, "DEVICE_EXPONENTS", 300)
    statistics, packed = finish_summary(queued_summary(torch.ones(50, 50)).tolist())
    assert statistics[0] == 1000 and decode_histogram(packed, 0, 0).looked_at == 278


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5_000_000), (64, 3, 7, 7)])
def test_nothing_waits_for_the_device(kind, shape):
    """On made-up CUDA tensors, which have no values: whoever asks for one fails."""
    with FakeTensorMode(), Watch() as watch:
        tensor = torch.empty(shape, dtype=kind, device="cuda").requires_grad_()
        for limits in (None, LIMITS):
            found = queued_summary(tensor, limits=limits)
            assert queued_statistics(tensor, limits=limits).shape == (9,)
            assert found.shape == (9 + 2 + (2048 if kind == torch.float64 else 256),)
            assert found.device.type == "cuda" and not found.requires_grad
    assert "aten::sum" in watch.seen or 0 in shape
    assert not watch.seen & (WAITING | BY_ATOMICS)


@pytest.mark.parametrize("kind", FLOATS, ids=str)
def test_changes_and_norms_do_not_wait_for_the_device(kind, monkeypatch):
    monkeypatch.setattr(device, "reason_unseen", lambda tensor: "")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    with FakeTensorMode(), Watch() as watch:
        after = torch.empty(40, 30, dtype=kind, device="cuda")
        assert device_difference(after, torch.empty(40, 30, device="cuda")).shape == (10,)
        assert device_norm([after, torch.empty(3, dtype=kind, device="cuda")]).shape == ()
    assert not watch.seen & (WAITING | BY_ATOMICS)


def test_a_change_beside_what_was_there():
    before = torch.tensor([3.0, 0.0, -4.0])
    found = finish_difference(device_difference(before + torch.tensor([0.0, 0.5, 0.0]), before).tolist())
    assert found[0] == 3.0 and found[4] == 0.5 and found[9] == pytest.approx(0.1)
    large = torch.full((10,), 60000.0, dtype=torch.float16)
    assert float(device_norm([large, large])) == pytest.approx(60000 * 20**0.5, rel=1e-3)


def test_the_check_itself_finds_what_waits():
    def one_item(tensor):
        return tensor.sum().item()

    def a_branch(tensor):
        return 1 if tensor.sum() > 0 else 2

    def a_list(tensor):
        return tensor.tolist()

    def a_copy(tensor):
        return tensor.cpu()

    for waits in (one_item, a_branch, a_list, a_copy):
        with (
            FakeTensorMode(),
            Watch(),
            pytest.raises(Exception, match=r"leaves the device|_local_scalar_dense|data_ptr|Cannot"),
        ):
            waits(torch.empty(5, device="cuda"))
    with FakeTensorMode(), Watch() as watch:
        torch.zeros(3, device="cuda").scatter_add_(
            0, torch.zeros(2, dtype=torch.int64, device="cuda"), torch.ones(2, device="cuda")
        )
        with pytest.raises(DynamicOutputShapeException):
            torch.empty(5, device="cuda").unique()
    assert watch.seen & WAITING and watch.seen & BY_ATOMICS


def test_within_deterministic_algorithms_and_autocast():
    tensor = torch.randn(500)
    wanted = queued_summary(tensor)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
            found = queued_summary(tensor)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(found.nan_to_num(-1), wanted.nan_to_num(-1))


def test_a_captured_stream_is_left_alone(monkeypatch):
    """A graph would replay the look with the program's work; the query is answered here, there is no GPU."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    monkeypatch.setattr(device, "reason_unseen", lambda tensor: "")
    with FakeTensorMode(), Watch() as watch:
        tensor = torch.empty(5, device="cuda")
        watch.seen.clear()
        for look in (device_statistics, device_summary):
            with pytest.raises(Unseen, match=r"^the stream is being captured$"):
                look(tensor)
    assert not watch.seen


@pytest.mark.parametrize("look", [device_statistics, device_summary])
def test_what_cannot_be_looked_at(look):
    with pytest.raises(Unseen, match=r"^complex$"):
        look(torch.randn(3, dtype=torch.complex64))
    with pytest.raises(Unseen, match=r"^sparse$"):
        look(torch.randn(3, 3).to_sparse())


def test_integers_have_no_exponents():
    with pytest.raises(Unseen, match=r"^integers$"):
        device_summary(torch.arange(3))


def test_one_look_at_a_device_gives_statistics_and_exponents():
    writer, tensor = MemoryWriter(), torch.randn(300, generator=torch.Generator().manual_seed(3))
    rows = Rows(writer, lambda: 0)
    slot = DataSlot(0)
    on_device = Readings(groups=Groups(writer), rows=rows, scratch=Scratch(), unseen=Counter())._on_device
    on_device(slot, "grad", tensor, 0, None, (0.5, 1.0), exponents=True)  # what is queued runs anywhere
    on_device(slot, "grad", tensor, 0, None, (0.5, 1.0), exponents=False)
    rows.flush(0, 0)
    assert not writer.rows
    rows.poll(wait=True)
    first, packed, second = (row[1] for row in writer.rows)
    expected, exponents = summary_of(tensor, Scratch())
    assert first[1] == pytest.approx(expected[1] * 0.5, rel=1e-5)
    assert first[:8] == second[:8]
    assert decode_histogram(packed, 0, 0) == decode_histogram(exponents, 0, 0)
