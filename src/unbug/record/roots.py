"""Modules whose forward no other forward encloses: what they own, and when they ran."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import torch

from unbug.record.refs import TensorRef, ref

__all__ = ["Owned", "Root", "Roots", "owned", "same"]

Owned = dict[int, TensorRef]
"""Tensors by identity, without keeping them alive: an `id` alone is used again once its tensor is gone."""


def owned(tensors: object) -> Owned:
    """Remember tensors by identity."""
    return {id(tensor): ref(tensor) for tensor in tensors}  # type: ignore[attr-defined]


def same(table: Owned, tensor: torch.Tensor) -> bool:
    """Whether this very tensor is in the table."""
    reference = table.get(id(tensor))
    return reference is not None and reference() is tensor


def overlap(one: Owned, other: Owned) -> int:
    """How many live tensors two tables share."""
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    count = 0
    for key, reference in small.items():
        tensor = reference()
        if tensor is not None and (found := large.get(key)) is not None and found() is tensor:
            count += 1
    return count


@dataclass(slots=True, eq=False)
class Root:
    """A module seen at depth 0.

    `first_grad` and `last_grad` are moments (numbers of a clock that ticks at every forward and step) of its
    first and last forward with grad mode on since an optimizer was made for it; -1 if there was none.
    `trains_in_eval`: an optimizer stepped after a forward in evaluation mode.
    """

    ref: weakref.ref[torch.nn.Module]
    class_name: str
    parameters: Owned
    first_grad: int = -1
    last_grad: int = -1
    training: int | None = None
    forwards: dict[tuple[bool, bool], int] = field(default_factory=dict)
    changed_at: int = 0
    trains_in_eval: bool = False

    def evaluates(self, module: torch.nn.Module, *, grad: bool) -> bool:
        """Whether a forward belongs to an evaluation: no grad mode, or the module in evaluation mode
        and trains in the other. Many programs validate without `no_grad`."""
        if not grad:
            return True
        return not module.training and not self.trains_in_eval and self.forwards.get((True, True), 0) > 0

    def reread(self) -> None:
        """Take the parameters anew: lazy modules make them at the first forward, heads are replaced."""
        module = self.ref()
        if module is not None:
            self.parameters = owned(module.parameters())


class Roots:
    """All roots that are alive."""

    def __init__(self) -> None:
        self._roots: dict[int, Root] = {}

    def get(self, module: torch.nn.Module) -> Root | None:
        """What is known of a module; None at its first forward."""
        root = self._roots.get(id(module))
        return root if root is not None and root.ref() is module else None

    def add(self, module: torch.nn.Module) -> Root:
        """Begin to know a module; those that died meanwhile are forgotten."""
        if len(self._roots) >= 256:
            self._roots = {key: root for key, root in self._roots.items() if root.ref() is not None}
        root = Root(weakref.ref(module), type(module).__name__, owned(module.parameters()))
        self._roots[id(module)] = root
        return root

    def alive(self) -> list[Root]:
        """In order of first sight."""
        return [root for root in self._roots.values() if root.ref() is not None]

    def last_trained(self) -> Root | None:
        """The one with parameters that ran last with grad mode on."""
        ran = [root for root in self.alive() if root.parameters and root.last_grad >= 0]
        return max(ran, key=lambda root: root.last_grad, default=None)

    def owning(self, parameters: Owned) -> list[Root]:
        """Roots that hold at least one of the parameters."""
        return [root for root in self.alive() if overlap(root.parameters, parameters)]
