"""Weak references to tensors that step aside while torch swaps two of them.

`torch.utils.swap_tensors` (which `Module.to` uses if asked to) refuses a tensor that has a weak reference. So
there is one for each tensor, shared by all that follow it, and it is let go for the length of a swap.
"""

from __future__ import annotations

import weakref

import torch

__all__ = ["TensorRef", "ref", "swapped", "swapping"]


class TensorRef:
    """Called, it gives the tensor while that lives, as `weakref.ref` does."""

    __slots__ = ("__weakref__", "_ref")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._ref: weakref.ref[torch.Tensor] | None = weakref.ref(tensor)

    def __call__(self) -> torch.Tensor | None:
        ref = self._ref
        return None if ref is None else ref()

    def let_go(self) -> None:
        """Refer to nothing."""
        self._ref = None

    def take(self, tensor: torch.Tensor) -> None:
        """Refer to the tensor again: it keeps its identity over a swap."""
        self._ref = weakref.ref(tensor)


_known: weakref.WeakValueDictionary[int, TensorRef] = weakref.WeakValueDictionary()


def ref(tensor: torch.Tensor) -> TensorRef:
    """The one reference to a tensor."""
    known = _known.get(id(tensor))
    if known is None or known() is not tensor:
        known = _known[id(tensor)] = TensorRef(tensor)
    return known


def swapping(tensors: tuple[torch.Tensor, ...]) -> None:
    """These are about to be swapped."""
    for tensor in tensors:
        known = _known.get(id(tensor))
        if known is not None:
            known.let_go()


def swapped(tensors: tuple[torch.Tensor, ...]) -> None:
    """They have been, or it failed."""
    for tensor in tensors:
        known = _known.get(id(tensor))
        if known is not None:
            known.take(tensor)
