"""The native kernel against numpy and exact sums, by every instruction set that this processor has."""

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy._core import _multiarray_umath

from unbug.numerics import (
    KINDS,
    chunked,
    decode_histogram,
    encode_histogram,
    exponent_counts,
    kernel_state,
    native,
    open_kernel,
    summarize,
    use_instructions,
)
from unbug.numerics.summary import Scratch

KERNEL = open_kernel()
pytestmark = pytest.mark.skipif(
    KERNEL is None, reason=f"there is no kernel here, numpy is used: {kernel_state()[1]}"
)
BEST = kernel_state()[0]
SETS = [name for name in ("portable", "avx2", "avx512", "neon") if use_instructions(name)]
use_instructions(BEST or "portable")


@pytest.fixture(params=SETS)
def instructions(request):
    assert use_instructions(request.param)
    yield request.param
    use_instructions(BEST)


def memory(array):
    return array.ctypes.data, array.size, KINDS[array.dtype.name]


def exact(values):
    """Mean and m2 of the finite elements, with 64 bits or more of mantissa."""
    kept = values[np.isfinite(values)].astype(np.longdouble)
    if not kept.size:
        return math.nan, math.nan
    mean = kept.sum() / kept.size
    return float(mean), float(np.square(kept - mean).sum())


def check(array, *, limits=(-0.5, 0.75)):
    found = KERNEL.summary(memory(array), limits=limits)
    with np.errstate(all="ignore"):
        finite = array[np.isfinite(array)]
        low, high = (array.dtype.type(limit) for limit in limits)
        outside = int(((array <= low) | (array >= high)).sum())
    assert found[0] == array.size
    assert found[5:] == ((array == 0).sum(), np.isnan(array).sum(), np.isinf(array).sum(), outside)
    if finite.size:
        assert found[3:5] == (finite.min(), finite.max())
    else:
        assert all(map(math.isnan, found[1:5]))
    first, counts, zeros, nonfinite = KERNEL.counts(memory(array))
    wanted = exponent_counts(array)
    assert (first, zeros, nonfinite) == (wanted[0], wanted[2], wanted[3])
    assert np.array_equal(counts, wanted[1])
    statistics, packed = KERNEL.packed(memory(array), limits=limits)
    np.testing.assert_array_equal(statistics, found)
    assert packed == encode_histogram(first, counts.tolist(), zeros, nonfinite, array.size)
    assert decode_histogram(packed, 0, 0).zeros == zeros
    return found


@given(array=arrays(np.float32, st.integers(0, 300), elements=st.floats(width=32)))
def test_any_single_precision(array):
    found = check(array)
    mean, m2 = exact(array)
    assert found[1] == pytest.approx(mean, rel=1e-15, abs=1e-15 * np.abs(found[3:5]).max(), nan_ok=True)
    assert found[2] == pytest.approx(m2, rel=1e-12, nan_ok=True)


@given(array=arrays(np.float64, st.integers(0, 300), elements=st.floats()))
def test_any_double_precision(array):
    found = check(array)
    if array.size and np.isfinite(array).any():
        assert found[3] <= found[1] <= found[4] and found[2] >= 0


HOSTILE = {
    "large mean, small variance": lambda r, n: r.normal(1e5, 0.1, n),
    "an outlier first": lambda r, n: np.r_[1e30, r.normal(0, 1, n - 1)],
    "an outlier last": lambda r, n: np.r_[r.normal(0, 1, n - 1), -1e30],
    "subnormal": lambda r, n: r.normal(0, 1e-41, n),
    "huge": lambda r, n: r.uniform(-3e38, 3e38, n),
    "constant": lambda r, n: np.full(n, 0.1),
    "all the same but one": lambda r, n: np.r_[np.full(n - 1, 7.25), 7.5],
    "two far groups": lambda r, n: r.choice([1e8, 1e-8], n),
    "rising": lambda r, n: np.linspace(1e6, 2e6, n),
    "sparse": lambda r, n: r.normal(0, 1, n) * (r.random(n) < 0.01),
    "heavy tail": lambda r, n: r.standard_cauchy(n) ** 3,
    "with NaN": lambda r, n: np.where(r.random(n) < 0.01, np.nan, r.normal(50, 1, n)),
    "with infinities": lambda r, n: np.where(r.random(n) < 0.5, -np.inf, r.normal(1e4, 1e-1, n)),
    "all NaN": lambda r, n: np.full(n, np.nan),
    "negative zero": lambda r, n: np.full(n, -0.0),
    "every exponent": lambda r, n: 2.0 ** r.uniform(-149, 127.9, n),
}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 4095, 4097, 20_000])
def test_hostile_numbers(instructions, name, kind, size):
    with np.errstate(over="ignore"):
        array = HOSTILE[name](np.random.default_rng(size), size).astype(kind)
    found = check(array)
    mean, m2 = exact(array)
    if math.isnan(mean):
        return
    # As exact as numpy's two passes in double precision, or to within a few roundings of the truth.
    kept = array[np.isfinite(array)].astype(np.float64)
    theirs_mean, theirs_m2 = kept.mean(), np.square(kept - kept.mean()).sum()
    top = np.abs(kept).max()
    assert abs(found[1] - mean) <= max(abs(theirs_mean - mean), 1e-14 * abs(mean), 1e-17 * top)
    assert abs(found[2] - m2) <= max(abs(theirs_m2 - m2), 1e-13 * m2)


def test_the_mean_of_numbers_whose_sum_no_double_holds(instructions):
    array = np.array([1.7e308] * 5000 + [-1.7e308] * 2000)
    found = KERNEL.summary(memory(array))
    assert found[1] == pytest.approx(1.7e308 / 7 * 3, rel=1e-12) and found[2] == math.inf
    same = np.full(9000, 1.7e308)
    assert KERNEL.summary(memory(same))[1:3] == (1.7e308, 0.0)


def test_a_distribution_that_changes_within_the_tensor(instructions):
    random = np.random.default_rng(0)
    parts = [
        2.0 ** random.uniform(low, high, 100_000) for low, high in ((-3, 0), (-100, 100), (20, 22), (0, 0))
    ]
    for kind in (np.float32, np.float64):
        check(np.concatenate(parts).astype(kind))


@pytest.mark.parametrize("spread", [1, 9, 16, 200])
def test_tensors_of_many_blocks(instructions, spread):
    """Long enough that every counter of the kernel is emptied on the way."""
    random = np.random.default_rng(spread)
    array = (random.normal(0, 1, 700_001) * 2.0 ** random.uniform(-spread / 2, spread / 2, 700_001)).astype(
        np.float32
    )
    array[::5] = 0
    check(array)


@pytest.mark.parametrize("name", ["float16", "uint8", "int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("size", [0, 1, 65, 5001])
def test_other_types(instructions, name, size):
    random = np.random.default_rng(size)
    bits = random.integers(0, 256, 8 * size, dtype=np.uint8)
    array = bits[:size] > 99 if name == "bool" else bits.view(name)[:size]
    found = KERNEL.summary(memory(array), limits=(0, 1))
    values = array.astype(np.float64)
    theirs = summarize(chunked(values), Scratch(), limits=(0, 1))
    np.testing.assert_allclose(found, theirs, rtol=1e-12, atol=1e-12)
    if name == "float16":
        wanted = exponent_counts(array.astype(np.float32))
        assert np.array_equal(KERNEL.counts(memory(array))[1], wanted[1])
    else:
        with pytest.raises(ValueError, match="no tensor of this kind"):
            KERNEL.counts(memory(array))


def test_every_half_and_every_bfloat(instructions):
    bits = np.arange(65536, dtype=np.uint16)
    found = KERNEL.summary((bits.ctypes.data, bits.size, KINDS["float16"]))
    halves = bits.view(np.float16).astype(np.float64)
    kept = halves[np.isfinite(halves)]
    assert found[3:8] == (kept.min(), kept.max(), 2, np.isnan(halves).sum(), 2)
    assert found[2] == pytest.approx(np.square(kept).sum(), rel=1e-13)
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    single = KERNEL.summary(memory(wide))
    np.testing.assert_array_equal(KERNEL.summary((bits.ctypes.data, bits.size, KINDS["bfloat16"])), single)


@given(data=st.data())
def test_strides(data):
    sizes = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    steps = data.draw(st.lists(st.integers(1, 3), min_size=len(sizes), max_size=len(sizes)))
    order = data.draw(st.permutations(range(len(sizes))))
    kind = data.draw(st.sampled_from(["float32", "float64", "float16", "int8"]))
    whole = np.random.default_rng(1).normal(
        0, 9, [size * step for size, step in zip(sizes, steps, strict=True)]
    )
    array = whole.astype(kind)[tuple(slice(None, None, step) for step in steps)].transpose(order)
    strides = [stride // array.itemsize for stride in array.strides]
    found = KERNEL.summary(memory(array), shape=(array.shape, strides))
    flat = np.ascontiguousarray(array)
    np.testing.assert_array_equal(found, KERNEL.summary(memory(flat)))


def test_what_lies_off_its_alignment(instructions):
    values = np.random.default_rng(0).normal(0, 1, 9000)
    for kind in ("float32", "float64", "float16", "int64"):
        array = values.astype(kind)
        for offset in (1, 2, 3):
            raw = np.zeros(array.nbytes + 8, dtype=np.uint8)
            raw[offset : offset + array.nbytes] = array.view(np.uint8)
            place = raw.ctypes.data + offset, array.size, KINDS[kind]
            np.testing.assert_array_equal(KERNEL.summary(place), KERNEL.summary(memory(array)))
            assert KERNEL.squares(place) == KERNEL.squares(memory(array))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 64, 5000])
def test_differences_and_squares(instructions, kind, size):
    random = np.random.default_rng(size)
    before = random.normal(0, 1, size).astype(kind)
    after = (before + random.normal(0, 1e-4, size)).astype(kind)
    found, squares = KERNEL.difference(memory(after), before.ctypes.data)
    change = after - before
    np.testing.assert_array_equal(found, KERNEL.summary(memory(change)))
    wanted = math.fsum(float(value) ** 2 for value in before)
    assert squares == pytest.approx(wanted, rel=1e-14) == KERNEL.squares(memory(before))


def test_many_at_once():
    some = [np.random.default_rng(n).normal(0, 1, n).astype(np.float32) for n in (0, 5, 10_000)]
    found = KERNEL.summaries([*(memory(array) for array in some), (0, 3, 99)])
    for row, array in zip(found, some, strict=False):
        np.testing.assert_array_equal(row, KERNEL.summary(memory(array)))
    assert np.isnan(found[3]).all()
    assert KERNEL.summaries([]).shape == (0, 9)


def test_threads_with_kernels_of_their_own():
    some = [np.random.default_rng(n).normal(n, 1, 300_000).astype(np.float32) for n in range(4)]
    wanted = [KERNEL.packed(memory(array), limits=(-1, 1)) for array in some]
    found = [[] for _ in some]

    def look(number):
        own = open_kernel()
        for _ in range(20):
            found[number].append(own.packed(memory(some[number]), limits=(-1, 1)))

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(set(each) == {one} for each, one in zip(found, wanted, strict=True))


def test_a_shape_that_cannot_be():
    array = np.zeros(6, dtype=np.float32)
    with pytest.raises(ValueError, match="more than 16 dimensions"):
        KERNEL.summary(memory(array), shape=([1] * 17, [1] * 17))
    with pytest.raises(ValueError, match="no tensor of this kind and shape"):
        KERNEL.summary(memory(array), shape=([2, 2], [2, 1]))


def test_a_name_that_is_no_instruction_set():
    assert not use_instructions("avx1024") and kernel_state() == (BEST, "")


def test_switched_off_by_the_environment():
    code = "from unbug.numerics import kernel_state, open_kernel; print(open_kernel(), kernel_state())"
    environment = {**os.environ, "UNBUG_KERNEL": "off"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "None ('', 'UNBUG_KERNEL=off')\n"


@pytest.fixture
def other_file(tmp_path, monkeypatch):
    """Another file in the library's place."""
    path = tmp_path / "_kernel.so"
    monkeypatch.setattr(native, "_FILE", path)
    native._libraries.cache_clear()
    yield path
    native._libraries.cache_clear()


def test_a_library_that_was_not_built(other_file):
    assert open_kernel() is None and kernel_state() == (
        "",
        "was not built: no C compiler when unbug was installed",
    )


def test_a_library_that_is_none(other_file):
    other_file.write_bytes(b"\x7fELF and nothing more")
    assert open_kernel() is None and kernel_state()[1].startswith("cannot be loaded: ")


def test_a_library_of_another_program(other_file):
    other_file.symlink_to(_multiarray_umath.__file__)
    assert open_kernel() is None and "cannot be loaded: " in kernel_state()[1]
