"""Copies of what a model was called with: tensors in nested tuples, lists and mappings, and plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

__all__ = ["NotKept", "copied", "first_rows", "mapped", "size_bytes", "tensors_in"]

_PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device, slice)
_DEEPEST, _LONGEST = 4, 64


class NotKept(Exception):
    """Something cannot be kept; the message says what, in a few words."""


def tensors_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], torch.Tensor]]:
    """`(path, tensor)` of each tensor, in order; attributes of dataclass-like outputs are not looked at."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif len(path) <= _DEEPEST:
        if isinstance(value, Mapping):
            for key in list(value)[:_LONGEST]:
                yield from tensors_in(value[key], (*path, key))
        elif isinstance(value, (tuple, list)):
            for number, one in enumerate(value[:_LONGEST]):
                yield from tensors_in(one, (*path, number))


def mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor], depth: int = 0) -> Any:
    """The same tree with each tensor changed.

    Raises:
        NotKept: it holds something that is neither a tensor nor plain.
    """
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, _PLAIN):
        return value
    if depth > _DEEPEST:
        raise NotKept("arguments nested too deeply")
    if type(value) is dict:
        return {key: mapped(one, change, depth + 1) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(mapped(one, change, depth + 1) for one in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(one, change, depth + 1) for one in value))
    raise NotKept(f"an argument of class {type(value).__name__}")


def size_bytes(value: Any) -> int:
    """Bytes of all tensors in a tree."""
    return sum(tensor.numel() * tensor.element_size() for _, tensor in tensors_in(value))


def copied(value: Any) -> Any:
    """A copy that shares nothing with the program.

    Raises:
        NotKept: it holds something that cannot be copied at once.
    """
    return mapped(value, _copy)


def first_rows(value: Any, rows: int, of: int) -> Any:
    """The tree with the first rows of each tensor that has `of` rows.

    Raises:
        NotKept: one of these is not dense, and cannot be cut.
    """

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.dim() or len(tensor) != of:
            return tensor
        _check_dense(tensor)
        return tensor[:rows]

    return mapped(value, cut)


def _check_dense(tensor: torch.Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise NotKept("a tensor that is not dense")


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    if type(tensor) is not torch.Tensor and not isinstance(tensor, torch.nn.Parameter):
        raise NotKept(f"a tensor of class {type(tensor).__name__}")
    _check_dense(tensor)
    if tensor.device.type != "cpu":
        raise NotKept(f"inputs on {tensor.device.type}: nothing is copied from a device")
    return tensor.detach().clone()
