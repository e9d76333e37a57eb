"""What the loss reaches: leaves that nobody owns, and parameters that it does not depend on."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from unbug.record.refs import ref
from unbug.record.roots import Owned, same

__all__ = ["Reach", "is_due"]

_AT = (1, 2, 5, 100)
_EVERY = 1000
_MOST_NODES = 10_000
_MOST_LISTED = 50
_HIDDEN = ("CheckpointFunction", "CompiledFunction")
"""Nodes behind which a graph goes on that cannot be seen from here."""


def is_due(step: int) -> bool:
    """Whether the graph is walked in a step: rarely, as it takes a microsecond for each operation."""
    return step in _AT or (step > 0 and step % _EVERY == 0)


class Reach:
    """Leaves reached in the step in progress, and those of the look before."""

    def __init__(self) -> None:
        self.leaves: Owned = {}
        self._before: Owned = {}
        self.nodes = 0
        self.whole = True

    def walk(self, tensors: Iterable[torch.Tensor]) -> None:
        """Backward begins at these."""
        waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
        seen: dict[int, Any] = {id(node): node for node in waiting}
        while waiting:
            node: Any = waiting.pop()
            self.whole = self.whole and not type(node).__name__.startswith(_HIDDEN)
            for source, _ in node.next_functions:
                if source is None or id(source) in seen:
                    continue
                seen[id(source)] = source
                leaf = getattr(source, "variable", None) if not source.next_functions else None
                if isinstance(leaf, torch.Tensor):
                    self.leaves[id(leaf)] = ref(leaf)
                elif len(seen) >= _MOST_NODES:
                    self.whole = False
                    waiting.clear()
                    break
                else:
                    waiting.append(source)
        self.nodes += len(seen)

    def compare(
        self, owned: Owned, optimised: Iterable[Owned], registered: Iterable[Owned], paths: Mapping[int, str]
    ) -> dict[str, Any] | None:
        """Fields of the `reach` event; None where all is as it should be, or nothing was walked.

        Args:
            owned: Parameters of the optimizer that steps.
            optimised: Those of every optimizer.
            registered: Those of every module that has run.
            paths: Of parameters, by `id`.
        """
        leaves, before = self.leaves, self._before
        if not self.nodes:
            return None
        tables = [*optimised, *registered]
        strangers = [
            tensor
            for reference in leaves.values()
            if (tensor := reference()) is not None
            and same(before, tensor)
            and not any(same(table, tensor) for table in tables)
        ]
        alive = [tensor for reference in owned.values() if (tensor := reference()) is not None]
        missed = [one for one in alive if one.requires_grad and not same(leaves, one)] if self.whole else []
        fields = {
            "nodes": self.nodes,
            "leaves": len(leaves),
            "whole": self.whole,
            "strangers": [_stranger(one) for one in strangers[:_MOST_LISTED]],
            "strangers_count": len(strangers),
            "unreached": [paths.get(id(one), "") for one in missed[:_MOST_LISTED]],
            "unreached_count": len(missed),
        }
        self._before, self.leaves, self.nodes, self.whole = leaves, {}, 0, True
        return fields if strangers or missed else None


def _stranger(tensor: torch.Tensor) -> dict[str, Any]:
    return {
        "name": _variable(tensor),
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "parameter": isinstance(tensor, torch.nn.Parameter),
        "has_grad": tensor.grad is not None,
    }


def _variable(tensor: torch.Tensor) -> str:
    """What the program's main module calls it; empty if it is held elsewhere."""
    main = sys.modules.get("__main__")
    for name, value in list(vars(main).items()) if main is not None else ():
        if value is tensor:
            return name
        if type(value) in (list, tuple) and len(value) <= 1000:
            for index, one in enumerate(value):
                if one is tensor:
                    return f"{name}[{index}]"
    return ""
