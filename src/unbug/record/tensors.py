"""Tensors that can be looked at, and looks at them: their statistics, exponents and squares.

Nothing here records an operation for autograd, draws a random number or waits for a device. The native kernel
reads the memory where it lies; where there is none, or it does not read the type, numpy does it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.numerics import KINDS, MOST_DIMENSIONS, Kernel, Memory, Scratch, encode_histogram, open_kernel
from unbug.record import unaided
from unbug.record.unaided import flat_view

__all__ = [
    "Exponents",
    "Statistics",
    "Unseen",
    "at_hand",
    "difference_of",
    "exponents_of",
    "first_tensor",
    "flat_view",
    "local",
    "reason_unseen",
    "squares_of",
    "statistics_of",
    "summaries_of",
    "summary_of",
]

Statistics = tuple[float, ...]
Exponents = tuple[int, NDArray[np.int64], int, int, int]
Shape = tuple[list[int], list[int]]

_KINDS = {getattr(torch, name): number for name, number in KINDS.items()}
_NARROW = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
_WIDENED = {getattr(torch, name) for name in _NARROW if hasattr(torch, name)}
_INTEGERS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_PLAIN = {torch.Tensor, torch.nn.Parameter, torch.nn.Buffer}
_EXPONENTS_LOOKED_AT = 32768
_own = threading.local()


class Unseen(Exception):
    """A tensor cannot be summarised; the message says why, in a few words."""


def at_hand(tensor: torch.Tensor) -> bool:
    """Whether a tensor's elements can be read without waiting for a device."""
    return bool(tensor.is_cpu)


def first_tensor(value: Any, more: Mapping[str, Any] | None = None, depth: int = 3) -> torch.Tensor | None:
    """The first tensor in nested tuples, lists, mappings or dataclass-like outputs; None if there is none."""
    if isinstance(value, torch.Tensor):
        return value
    if type(value) is tuple and value and isinstance(value[0], torch.Tensor):
        return value[0]
    parts: Iterable[Any] = ()
    if isinstance(value, (tuple, list)):
        parts = value
    elif isinstance(value, Mapping):
        parts = value.values()
    if depth:
        for part in parts:
            found = first_tensor(part, None, depth - 1)
            if found is not None:
                return found
    return first_tensor(tuple(more.values()), None, depth) if more else None


def reason_unseen(tensor: torch.Tensor) -> str:
    """Why a tensor cannot be summarised, in a few words; empty if it can."""
    # By its real class: a parameter made of a subclass says that it is an instance of Parameter.
    if type(tensor) not in _PLAIN and not issubclass(type(tensor), torch.nn.Parameter):
        return f"tensor subclass {type(tensor).__name__}"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.device.type == "meta":
        return "meta tensor"
    if tensor.is_complex():
        return "complex"
    if tensor.is_quantized:
        return "quantized"
    if tensor.dtype not in _KINDS and tensor.dtype not in _WIDENED:
        return str(tensor.dtype).removeprefix("torch.")
    return ""


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's part of a distributed tensor, the tensor itself otherwise."""
    if type(tensor).__name__ == "DTensor":
        part = tensor.to_local()
        return part if isinstance(part, torch.Tensor) else tensor
    return tensor


def statistics_of(
    tensor: torch.Tensor, scratch: Scratch, *, limits: tuple[float, float] | None = None
) -> Statistics:
    """The stored statistics of a tensor on the CPU.

    Raises:
        Unseen: the tensor is sparse, complex, a subclass, or of a type without values.
    """
    kernel, place = scratch.kernel, _place(tensor)
    if kernel is None or place is None:
        return unaided.statistics(tensor, scratch, limits=limits)
    return kernel.summary(place[0], limits=limits, shape=place[1])


def summary_of(
    tensor: torch.Tensor, scratch: Scratch, *, limits: tuple[float, float] | None = None
) -> tuple[Statistics, bytes]:
    """Stored statistics and packed exponents of a floating-point tensor on the CPU, in one pass over it.

    Raises:
        Unseen: as `exponents_of`.
    """
    kernel, place = scratch.kernel, _place(tensor)
    if tensor.dtype in _INTEGERS:
        raise Unseen("integers")
    if kernel is not None and place is not None:
        return kernel.packed(place[0], limits=limits, shape=place[1])
    first, counts, zeros, nonfinite, looked_at = unaided.exponents(tensor, looked_at=_EXPONENTS_LOOKED_AT)
    packed = encode_histogram(first, counts.tolist(), zeros, nonfinite, looked_at)
    return unaided.statistics(tensor, scratch, limits=limits), packed


def summaries_of(tensors: Sequence[torch.Tensor], scratch: Scratch) -> NDArray[np.float64]:
    """The stored statistics of many tensors, with one call into the kernel.

    Returns:
        `(tensors, statistics)`, in the order of `types.STORED_STATISTICS`; a row of NaN for each tensor that
        cannot be looked at, as `reason_unseen` says.
    """
    kernel = scratch.kernel
    found = np.full((len(tensors), 9), np.nan)
    memories: list[Memory] = []
    rows: list[int] = []
    for row, tensor in enumerate(tensors):
        try:
            place = _place(tensor)
            if kernel is not None and place is not None and place[1] is None:
                memories.append(place[0])
                rows.append(row)
            else:
                found[row] = statistics_of(tensor, scratch)
        except Unseen:
            continue
    if kernel is not None and memories:
        found[rows] = kernel.summaries(memories)
    return found


def squares_of(tensor: torch.Tensor, scratch: Scratch) -> float:
    """Sum of squares over a tensor on the CPU, in double precision where the kernel is at hand.

    Raises:
        Unseen: as `statistics_of`.
    """
    kernel, place = scratch.kernel, _place(tensor)
    if kernel is None or place is None:
        return unaided.squares(tensor, scratch)
    return kernel.squares(place[0], shape=place[1])


def difference_of(
    after: torch.Tensor, before: torch.Tensor, scratch: Scratch
) -> tuple[Statistics, float] | None:
    """Statistics of `after - before` and the sum of squares of `before`, in one pass over both.

    Returns:
        None where the kernel cannot do it: it is not at hand, or the two are not of one floating type, size
        and order in memory, without gaps.
    Raises:
        Unseen: as `statistics_of`.
    """
    kernel, now, then = scratch.kernel, _place(after), _place(before)
    if kernel is None or now is None or then is None or now[1] or then[1] or now[0][1:] != then[0][1:]:
        return None
    if after.dtype in _INTEGERS or after.stride() != before.stride():
        return None
    return kernel.difference(now[0], then[0][0])


def exponents_of(tensor: torch.Tensor, *, looked_at: int = _EXPONENTS_LOOKED_AT) -> Exponents:
    """Exponent counts, and the number of elements looked at: all by the kernel, else an even sample.

    Args:
        looked_at: About as many elements at most where the kernel does not do it.
    Raises:
        Unseen: as `statistics_of`; integers have no exponents.
    """
    kernel, place = _own_kernel(), _place(tensor)
    if tensor.dtype in _INTEGERS:
        raise Unseen("integers")
    if kernel is None or place is None:
        return unaided.exponents(tensor, looked_at=looked_at)
    return (*kernel.counts(place[0], shape=place[1]), place[0][1])


def _place(tensor: torch.Tensor) -> tuple[Memory, Shape | None] | None:
    """Where a tensor lies, for the kernel, with sizes and strides where its elements do not lie side by side.

    Returns:
        None where numpy must look in place of the kernel.
    Raises:
        Unseen: neither can.
    """
    kind = _KINDS.get(tensor.dtype)
    if kind is None or type(tensor) not in _PLAIN or not tensor.is_cpu:
        reason = reason_unseen(tensor) or ("" if tensor.is_cpu else "not on the CPU")
        if reason:
            raise Unseen(reason)
        if kind is None:
            return None
    try:
        if tensor.is_neg():
            return None
        data, elements = tensor.data_ptr(), tensor.numel()
        shape = None if tensor.is_contiguous() else _shape(tensor)
        if shape is not None and len(shape[0]) > MOST_DIMENSIONS:
            return None
    except RuntimeError as error:
        raise Unseen(reason_unseen(tensor) or "without memory of its own") from error
    if not data and elements:
        raise Unseen("without memory of its own")
    return (data, elements, kind), shape


def _shape(tensor: torch.Tensor) -> Shape | None:
    """Sizes and strides, the smallest stride last; None where elements lie side by side in another order."""
    pairs = sorted(
        ((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1),
        reverse=True,
    )
    expected = 1
    for stride, size in reversed(pairs):
        if stride != expected:
            return [size for _, size in pairs], [stride for stride, _ in pairs]
        expected *= size
    return None


def _own_kernel() -> Kernel | None:
    """The kernel with buffers of this thread."""
    if not hasattr(_own, "kernel"):
        _own.kernel = open_kernel()
    found: Kernel | None = _own.kernel
    return found
