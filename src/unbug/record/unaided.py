"""What the native kernel computes, by numpy and torch: for where there is no kernel.

The tensors given are on the CPU and can be looked at; see `reason_unseen`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.numerics import CHUNK, Scratch, chunked, exponent_counts, summarize

__all__ = ["exponents", "flat_view", "squares", "statistics"]

_DIRECT = {torch.float32, torch.float64}
_INTEGERS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def statistics(
    tensor: torch.Tensor, scratch: Scratch, *, limits: tuple[float, float] | None = None
) -> tuple[float, ...]:
    """The stored statistics."""
    tensor = tensor.detach()
    flat = flat_view(tensor)
    if flat is not None and tensor.dtype in _DIRECT:
        return summarize(chunked(flat.numpy()), scratch, limits=limits)
    return summarize(lambda: _converted(tensor, flat, scratch), scratch, limits=limits)


def exponents(tensor: torch.Tensor, *, looked_at: int) -> tuple[int, NDArray[np.int64], int, int, int]:
    """Exponents of at most about `looked_at` elements, evenly spread over the tensor, and their number."""
    flat = flat_view(tensor.detach())
    if flat is None:
        flat = tensor.detach().reshape(-1)
    stride = -(-flat.numel() // looked_at) if flat.numel() else 1
    some = flat[::stride]
    some = some if some.dtype in _DIRECT else some.to(torch.float32)
    array = np.ascontiguousarray(some.resolve_neg().numpy())
    return (*exponent_counts(array), array.size)


def squares(tensor: torch.Tensor, scratch: Scratch) -> float:
    """Sum of squares, by chunks in the precision that the elements have or are widened to."""
    tensor = tensor.detach()
    flat = flat_view(tensor)
    direct = flat is not None and tensor.dtype in _DIRECT
    chunks = chunked(flat.numpy())() if flat is not None and direct else _converted(tensor, flat, scratch)
    with np.errstate(all="ignore"):
        return sum(float(np.dot(part, part)) for part in chunks)


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
    """Chunks as float32 (from narrower ones) or float64 (from integers), in a buffer that is used again."""
    wide = whole.dtype in _INTEGERS or whole.dtype == torch.float64
    kind: np.dtype[np.floating] = np.dtype(np.float64) if wide else np.dtype(np.float32)
    buffer = scratch.wide[kind]
    target = torch.from_numpy(buffer)
    for piece in _pieces(whole) if flat is None else (flat,):
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
