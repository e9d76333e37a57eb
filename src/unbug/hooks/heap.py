"""Torch's objects among all that live: where a program made them before anybody watched.

One look at the heap takes tens of milliseconds, so those who ask while a hub is installed share one.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from itertools import compress
from typing import Any

import torch

__all__ = ["living", "one_look"]

_KINDS: tuple[type, ...] = (torch.nn.Module, torch.optim.Optimizer)
_shared: list[list[Any]] = []
_sharing = 0


def living(kind: type) -> list[Any]:
    """Every instance of `torch.nn.Module` or `torch.optim.Optimizer` there is, of subclasses, too.

    Looks at types only, so that no property of a proxy is run.
    """
    found = _shared[0] if _shared else _look()
    if _sharing and not _shared:
        _shared.append(found)
    return [thing for thing in found if issubclass(type(thing), kind)]


@contextlib.contextmanager
def one_look() -> Iterator[None]:
    """Look once for all who ask inside of this."""
    global _sharing
    _sharing += 1
    try:
        yield
    finally:
        _sharing -= 1
        if not _sharing:
            _shared.clear()


def _look() -> list[Any]:
    kinds: set[type] = set()
    for kind in _KINDS:
        _add_subclasses(kind, kinds)
    objects = gc.get_objects()
    return list(compress(objects, map(kinds.__contains__, map(type, objects))))


def _add_subclasses(kind: type, found: set[type]) -> None:
    found.add(kind)
    inner: type
    for inner in type.__subclasses__(kind):
        if inner not in found:
            _add_subclasses(inner, found)
