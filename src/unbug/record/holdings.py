"""Tables of examples that a program's variables hold: tensors, arrays, and lists of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.columns import readable
from unbug.record.rows_seen import row_hashes

__all__ = ["Named", "hashes_of", "holds_samples", "named_tables", "tensor_of"]

_MOST_NAMES, _MOST_ELEMENTS, _MOST_SAMPLES, _PART = 400, 1 << 22, 5000, 1024
_LIBRARIES = frozenset(("torch", "numpy", "builtins", "pandas", "matplotlib", "unbug"))
_KINDS = "biuf"

Named = tuple[str, Any]


def tensor_of(thing: Any) -> torch.Tensor | None:
    """A tensor or array of numbers as a tensor that shares its memory; None for all else."""
    if type(thing) is torch.Tensor:
        return thing.detach() if not thing.requires_grad and readable(thing) else None
    if type(thing) is np.ndarray and thing.ndim and thing.size and thing.dtype.kind in _KINDS:
        try:
            return torch.from_numpy(thing if thing.flags.writeable else thing.copy())
        except (TypeError, ValueError):
            return None
    return None


def named_tables(scopes: Iterable[Mapping[str, Any]]) -> Iterator[Named]:
    """Names and values in scopes, and one level inside of objects, mappings and tuples; each value once."""
    seen: set[int] = set()
    count = 0
    for scope in scopes:
        for name, value in scope.items():
            if name.startswith("__") or count >= _MOST_NAMES:
                continue
            for told in ((name, value), *_inside(name, value)):
                if id(told[1]) not in seen:
                    seen.add(id(told[1]))
                    count += 1
                    yield told


def hashes_of(tensor: torch.Tensor, *, like: torch.dtype | None = None) -> NDArray[np.uint64] | None:
    """One number for each row, as `row_hashes` gives them, of all rows; None for what is too large.

    Args:
        like: Type that the elements are turned into before.
    """
    if tensor.numel() > _MOST_ELEMENTS:
        return None
    found = []
    with torch.no_grad():
        for start in range(0, len(tensor), _PART):
            part = tensor[start : start + _PART]
            part = (part if like is None else part.to(like)).contiguous()
            told = row_hashes(part)
            if told is None:
                return None
            found.append(told)
    return np.concatenate(found) if found else None


def holds_samples(samples: Any, rows: list[Any]) -> bool:
    """Whether a list has all of a few rows among its samples, or as one of the first parts of its samples."""
    if type(samples) is not list or not samples or len(samples) > _MOST_SAMPLES:
        return False
    wanted = {repr(row) for row in rows}
    for one in samples:
        parts = one[:3] if isinstance(one, tuple) else (one,)
        for part in parts:
            plain = part.tolist() if isinstance(part, (np.ndarray, torch.Tensor)) else part
            if isinstance(plain, list):
                wanted.discard(repr(plain))
        if not wanted:
            return True
    return False


def _inside(name: str, value: Any) -> Iterator[Named]:
    if isinstance(value, (tuple, dict)) and len(value) <= 8:
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield f"{name}[{key!r}]", one
        return
    kind = type(value)
    if kind.__module__.partition(".")[0] in _LIBRARIES or isinstance(value, torch.nn.Module):
        return
    held = value.__dict__ if type(getattr(value, "__dict__", None)) is dict else {}
    for key, one in list(held.items())[:32]:
        yield f"{name}.{key}", one
