"""Tensors as arrays that can be looked at: which ones, without copying where that is possible.

Nothing here records an operation for autograd, draws a random number or waits for a device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.numerics import (
    CHUNK,
    KINDS,
    Memory,
    Scratch,
    chunked,
    encode_histogram,
    exponent_counts,
    open_kernel,
    summarize,
)

__all__ = [
    "Exponents",
    "Statistics",
    "Unseen",
    "exponents_of",
    "first_tensor",
    "flat_view",
    "local",
    "reason_unseen",
    "squares_of",
    "statistics_of",
    "summary_of",
]

Statistics = tuple[float, ...]
Exponents = tuple[int, NDArray[np.int64], int, int, int]
Shape = tuple[list[int], list[int]]

_DIRECT = {torch.float32, torch.float64}
_WIDENED = {torch.float16: torch.float32, torch.bfloat16: torch.float32}
_INTEGERS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_KINDS = {getattr(torch, name): number for name, number in KINDS.items()}
_PLAIN = {torch.Tensor, torch.nn.Parameter, torch.nn.Buffer}
_EXPONENTS_LOOKED_AT = 32768


class Unseen(Exception):
    """A tensor cannot be summarised; the message says why, in a few words."""


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
    if type(tensor) not in _PLAIN and not isinstance(tensor, torch.nn.Parameter):
        return f"tensor subclass {type(tensor).__name__}"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.device.type == "meta":
        return "meta tensor"
    if tensor.is_complex():
        return "complex"
    if tensor.is_quantized:
        return "quantized"
    if tensor.dtype not in _DIRECT and tensor.dtype not in _WIDENED and tensor.dtype not in _INTEGERS:
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
    kernel = scratch.kernel
    if kernel is not None:
        memory, shape = _memory(tensor)
        return kernel.summary(memory, limits=limits, shape=shape)
    return _statistics_by_numpy(tensor, scratch, limits)


def summary_of(
    tensor: torch.Tensor, scratch: Scratch, *, limits: tuple[float, float] | None = None
) -> tuple[Statistics, bytes]:
    """Stored statistics and packed exponents of a floating-point tensor on the CPU, in one pass over it.

    Raises:
        Unseen: as `exponents_of`.
    """
    kernel = scratch.kernel
    if kernel is not None:
        memory, shape = _memory(tensor)
        if tensor.dtype in _INTEGERS:
            raise Unseen("integers")
        return kernel.packed(memory, limits=limits, shape=shape)
    first, counts, zeros, nonfinite, looked_at = exponents_of(tensor)
    found = _statistics_by_numpy(tensor, scratch, limits)
    return found, encode_histogram(first, counts.tolist(), zeros, nonfinite, looked_at)


def squares_of(tensor: torch.Tensor, scratch: Scratch) -> float:
    """Sum of squares over a tensor on the CPU, in double precision where the kernel is at hand.

    Raises:
        Unseen: as `statistics_of`.
    """
    kernel = scratch.kernel
    if kernel is not None:
        memory, shape = _memory(tensor)
        return kernel.squares(memory, shape=shape)
    reason = reason_unseen(tensor)
    if reason:
        raise Unseen(reason)
    values = tensor.detach().reshape(-1)
    if values.dtype not in _DIRECT:
        values = values.float()
    array = values.numpy()
    with np.errstate(all="ignore"):
        return float(np.dot(array, array))


def exponents_of(tensor: torch.Tensor, *, looked_at: int = _EXPONENTS_LOOKED_AT) -> Exponents:
    """Exponent counts, and the number of elements looked at: all by the kernel, else an even sample.

    Args:
        looked_at: About as many elements at most where the kernel is not at hand.
    Raises:
        Unseen: as `statistics_of`; integers have no exponents.
    """
    kernel = open_kernel()
    if kernel is not None:
        memory, shape = _memory(tensor)
        if tensor.dtype in _INTEGERS:
            raise Unseen("integers")
        return (*kernel.counts(memory, shape=shape), memory[1])
    reason = reason_unseen(tensor)
    if reason or tensor.dtype in _INTEGERS:
        raise Unseen(reason or "integers")
    flat = flat_view(tensor.detach())
    if flat is None:
        flat = tensor.detach().reshape(-1)
    stride = -(-flat.numel() // looked_at) if flat.numel() else 1
    some = flat[::stride]
    some = some.to(_WIDENED.get(some.dtype, some.dtype))
    array = np.ascontiguousarray(some.numpy())
    return (*exponent_counts(array), array.size)


def _memory(tensor: torch.Tensor) -> tuple[Memory, Shape | None]:
    """Where a tensor lies, for the kernel; with sizes and strides where its elements do not lie side by side.

    Raises:
        Unseen: it lies nowhere that the kernel could read.
    """
    kind = _KINDS.get(tensor.dtype)
    if kind is None or type(tensor) not in _PLAIN or not tensor.is_cpu or tensor.layout != torch.strided:
        reason = reason_unseen(tensor)
        if reason or kind is None or not tensor.is_cpu:
            raise Unseen(reason or "not on the CPU")
    try:
        data, elements = tensor.data_ptr(), tensor.numel()
        shape = None if tensor.is_contiguous() else _shape(tensor)
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


def _statistics_by_numpy(
    tensor: torch.Tensor, scratch: Scratch, limits: tuple[float, float] | None
) -> Statistics:
    """The same without the kernel."""
    if tensor.dtype == torch.float32 and tensor.is_contiguous() and tensor.layout == torch.strided:
        try:
            return summarize(chunked(tensor.detach().numpy().reshape(-1)), scratch, limits=limits)
        except (TypeError, RuntimeError) as error:
            raise Unseen(reason_unseen(tensor) or type(error).__name__) from error
    reason = reason_unseen(tensor)
    if reason:
        raise Unseen(reason)
    flat = flat_view(tensor.detach())
    if flat is not None and tensor.dtype in _DIRECT:
        return summarize(chunked(flat.numpy()), scratch, limits=limits)
    whole = tensor.detach()
    return summarize(lambda: _converted(whole, flat, scratch), scratch, limits=limits)


def flat_view(tensor: torch.Tensor) -> torch.Tensor | None:
    """All elements in the order of memory, as a view; None where they do not lie side by side."""
    if tensor.is_neg() or tensor.is_conj():
        return None
    if tensor.is_contiguous():
        return tensor.view(-1)
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size == 1:
            continue
        if stride != expected:
            return None
        expected *= size
    return tensor.as_strided((tensor.numel(),), (1,))


def _converted(
    whole: torch.Tensor, flat: torch.Tensor | None, scratch: Scratch
) -> Iterator[NDArray[np.floating]]:
    """Chunks as float32 (from half precision) or float64 (from integers), in a buffer that is used again."""
    narrow = whole.dtype in _WIDENED or whole.dtype == torch.float32
    kind: np.dtype[np.floating] = np.dtype(np.float32) if narrow else np.dtype(np.float64)
    buffer = scratch.wide[kind]
    target = torch.from_numpy(buffer)
    pieces = _pieces(whole) if flat is None else (flat,)
    for piece in pieces:
        for start in range(0, piece.numel(), CHUNK):
            part = piece[start : start + CHUNK]
            target[: part.numel()].copy_(part)
            yield buffer[: part.numel()]


def _pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """A tensor that does not lie side by side, as flat parts of about a chunk."""
    if tensor.dim() == 0 or tensor.numel() <= CHUNK:
        yield tensor.reshape(-1)
        return
    rows = max(1, CHUNK * tensor.shape[0] // tensor.numel())
    for start in range(0, tensor.shape[0], rows):
        part = tensor[start : start + rows]
        if part.numel() > 4 * CHUNK and part.dim() > 1:
            yield from _pieces(part[0])
        else:
            yield part.reshape(-1)
