"""The native kernel, called by ctypes: statistics and exponent counts from memory, in one pass over it.

The library is part of the package where a compiler was at hand when it was built; where it is missing, or
`UNBUG_KERNEL=off` is set, `open_kernel` gives None and callers compute the same with numpy.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "MOST_DIMENSIONS", "Kernel", "Memory", "kernel_state", "open_kernel", "use_instructions"]

KINDS = {
    name: number
    for number, name in enumerate(
        ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool")
    )
}
"""Numbers of the element types that the kernel reads."""

Memory = tuple[int, int, int]
"""Address of the first element, number of elements, one of `KINDS`; the caller keeps the memory alive."""

Shape = tuple[Sequence[int], Sequence[int]]

_FILE = Path(__file__).with_name("_kernel.so")
MOST_DIMENSIONS = 16
"""That a tensor may have whose elements do not lie side by side."""

_ABI = 1
_STATISTICS, _BINS, _PACKED = 9, 2048, 20600
_FLOAT64 = KINDS["float64"]
_HELD = 1 << 18
"""Elements up to which the interpreter stays locked: microseconds, less than taking its lock may cost."""

_REFUSED = "the kernel reads no tensor of this kind and shape"

_fill = Struct("=qqiiqq").pack_into
_number = Struct("=d").unpack_from
_limit = Struct("=dd").pack_into
_numbers = Struct(f"={_STATISTICS}d").unpack_from


class Kernel:
    """The kernel with buffers of one caller: not for two threads at a time.

    Every method takes a `Memory` whose elements lie side by side, or with `shape` sizes and strides in
    elements.
    """

    __slots__ = ("_bins", "_bins_at", "_held", "_limits", "_limits_at", "_packed", "_packed_at", "_released",
                 "_shape", "_shape_at", "_squares", "_squares_at", "_statistics", "_statistics_at", "_tensor",
                 "_tensor_at")  # fmt: skip

    def __init__(self, held: Any, released: Any) -> None:
        self._held, self._released = held, released
        self._tensor, self._tensor_at = _room(40)
        self._shape, self._shape_at = _room(16 * MOST_DIMENSIONS)
        self._limits, self._limits_at = _room(16)
        self._statistics, self._statistics_at = _room(8 * _STATISTICS)
        self._squares, self._squares_at = _room(8)
        self._packed, self._packed_at = _room(_PACKED)
        self._bins = np.zeros(_BINS, dtype=np.uint64)
        self._bins_at = ctypes.c_void_p(self._bins.ctypes.data)

    def summary(
        self, memory: Memory, *, limits: tuple[float, float] | None = None, shape: Shape | None = None
    ) -> tuple[float, ...]:
        """The stored statistics, as `numerics.summarize` gives them.

        Raises:
            ValueError: the kernel reads no such tensor.
        """
        at = self._at(memory, shape)
        limits_at = None if limits is None else self._limit(limits)
        library = self._held if memory[1] <= _HELD else self._released
        if library.unbug_summary(at, limits_at, self._statistics_at, None):
            raise ValueError(_REFUSED)
        return _numbers(self._statistics)

    def packed(
        self, memory: Memory, *, limits: tuple[float, float] | None = None, shape: Shape | None = None
    ) -> tuple[tuple[float, ...], bytes]:
        """The stored statistics and the exponents of all elements, packed as by `numerics.encode_histogram`.

        Raises:
            ValueError: the kernel reads no such tensor; integers have no exponents.
        """
        at = self._at(memory, shape)
        limits_at = None if limits is None else self._limit(limits)
        library = self._held if memory[1] <= _HELD else self._released
        size = library.unbug_packed(at, limits_at, self._statistics_at, self._packed_at)
        if size < 0:
            raise ValueError(_REFUSED)
        return _numbers(self._statistics), bytes(self._packed[:size])

    def counts(
        self, memory: Memory, *, shape: Shape | None = None
    ) -> tuple[int, NDArray[np.int64], int, int]:
        """Exponents of all elements, as `numerics.exponent_counts` gives them.

        Raises:
            ValueError: as `packed`.
        """
        library = self._held if memory[1] <= _HELD else self._released
        if library.unbug_summary(self._at(memory, shape), None, self._statistics_at, self._bins_at):
            raise ValueError(_REFUSED)
        top = 2047 if memory[2] == _FLOAT64 else 255
        zeros = int(_numbers(self._statistics)[5])
        counts = self._bins[:top].astype(np.int64)
        counts[0] -= zeros
        return -(top // 2), counts, zeros, int(self._bins[top])

    def squares(self, memory: Memory, *, shape: Shape | None = None) -> float:
        """Sum of squares in double precision.

        Raises:
            ValueError: the kernel reads no such tensor.
        """
        library = self._held if memory[1] <= _HELD else self._released
        if library.unbug_squares(self._at(memory, shape), self._squares_at):
            raise ValueError(_REFUSED)
        return float(_number(self._squares)[0])

    def difference(self, after: Memory, before: int) -> tuple[tuple[float, ...], float]:
        """Statistics of `after - before` and the sum of squares of `before`.

        Args:
            before: Address of as many elements of the same floating type, side by side like those of `after`.
        Raises:
            ValueError: the elements are no floating-point numbers.
        """
        library = self._held if after[1] <= _HELD else self._released
        at = self._at(after, None)
        if library.unbug_difference(at, ctypes.c_void_p(before), self._statistics_at, self._squares_at):
            raise ValueError(_REFUSED)
        return _numbers(self._statistics), float(_number(self._squares)[0])

    def summaries(self, memories: Sequence[Memory]) -> NDArray[np.float64]:
        """The stored statistics of many tensors in one call.

        Returns:
            `(tensors, 9)`, in the order of `types.STORED_STATISTICS`; a row of NaN where the kernel reads no
            such tensor.
        """
        table = np.array(memories, dtype=np.int64).reshape(-1, 3)
        data, elements = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
        kinds = table[:, 2].astype(np.int32)
        found = np.empty((len(table), _STATISTICS), dtype=np.float64)
        library = self._held if int(elements.sum()) <= _HELD else self._released
        places = (ctypes.c_void_p(array.ctypes.data) for array in (data, elements, kinds, found))
        library.unbug_summaries(ctypes.c_int64(len(table)), *places)
        return found

    def _at(self, memory: Memory, shape: Shape | None) -> ctypes.c_void_p:
        if shape is None:
            _fill(self._tensor, 0, *memory, 0, 0, 0)
            return self._tensor_at
        sizes, strides = shape
        if len(sizes) > MOST_DIMENSIONS:
            raise ValueError(f"more than {MOST_DIMENSIONS} dimensions")
        at = self._shape_at.value or 0
        Struct(f"={2 * MOST_DIMENSIONS}q").pack_into(self._shape, 0, *_padded(sizes), *_padded(strides))
        _fill(self._tensor, 0, *memory, len(sizes), at, at + 8 * MOST_DIMENSIONS)
        return self._tensor_at

    def _limit(self, limits: tuple[float, float]) -> ctypes.c_void_p:
        _limit(self._limits, 0, *limits)
        return self._limits_at


def open_kernel() -> Kernel | None:
    """The kernel with buffers of its own; None where it is not to be had."""
    held, released, _ = _libraries()
    return None if held is None else Kernel(held, released)


def kernel_state() -> tuple[str, str]:
    """What computes statistics here, for `unbug doctor`.

    Returns:
        The instruction set that the kernel uses, or an empty string where numpy is used; and why.
    """
    held, _, why = _libraries()
    return ("", why) if held is None else (held.unbug_isa().decode(), "")


def use_instructions(name: str) -> bool:
    """Let the kernel use another instruction set; False if there is none of that name here.

    Args:
        name: `avx512`, `avx2`, `neon` or `portable`.
    """
    held, _, _ = _libraries()
    return held is not None and held.unbug_choose(name.encode()) is not None


@cache
def _libraries() -> tuple[Any, Any, str]:
    """The library with the interpreter locked and with it released, or why there is none."""
    if os.environ.get("UNBUG_KERNEL") == "off":
        return None, None, "UNBUG_KERNEL=off"
    if not _FILE.exists():
        return None, None, "was not built: no C compiler when unbug was installed"
    try:
        held, released = ctypes.PyDLL(str(_FILE)), ctypes.CDLL(str(_FILE))
        if held.unbug_abi() != _ABI:
            return None, None, f"{_FILE} is of another version of unbug; install unbug again"
    except (OSError, AttributeError) as error:
        return None, None, f"cannot be loaded: {error}"
    for library in (held, released):
        library.unbug_isa.restype = library.unbug_choose.restype = ctypes.c_char_p
        library.unbug_summaries.restype = ctypes.c_int64
    return held, released, ""


def _room(size: int) -> tuple[bytearray, ctypes.c_void_p]:
    """A buffer and where it lies."""
    buffer = bytearray(size)
    return buffer, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(buffer)))


def _padded(numbers: Sequence[int]) -> tuple[int, ...]:
    return (*numbers, *(0,) * (MOST_DIMENSIONS - len(numbers)))
