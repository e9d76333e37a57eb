"""How a network and its loss are wired, read from the graph: the `wiring` event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch

from unbug.hooks import node_time
from unbug.record.graphnodes import Node, graph_of
from unbug.record.wiredloss import hinges, residuals, root_of, spread_out
from unbug.record.wirednet import drops, mixing_views, norms, reused, softmaxes, squashed_twice
from unbug.record.wiredpairs import linear_pairs

__all__ = ["Near", "Place", "is_due", "outer_nodes", "wiring_of"]

_AT = (1, 2, 100)
_MOST_NODES = 4_000
_MOST_LISTED = 20
_MOST_KINDS = 40

Place = Callable[[torch.Tensor], str]


def is_due(step: int) -> bool:
    """Whether the wiring is read in a step: it takes some microseconds for each operation."""
    return step in _AT


def wiring_of(tensors: Iterable[torch.Tensor], place: Place, batch: int) -> dict[str, Any] | None:
    """Fields of the `wiring` event; None where there is no graph.

    Args:
        tensors: What backward begins at.
        place: Path of the module that holds a parameter; empty if none does.
        batch: Examples in the batch, 0 if not known.
    """
    nodes, whole = graph_of(tensors, _MOST_NODES)
    try:
        return _fields(nodes, whole, place, batch) if nodes else None
    finally:
        for node in nodes:  # they point at each other, and would keep the program's graph until a collection
            node.forget()


def _fields(nodes: list[Node], whole: bool, place: Place, batch: int) -> dict[str, Any]:
    outer = outer_nodes(nodes)
    near = Near(nodes, place)
    inner = [node for node in nodes if node not in outer and node.leaf is None]
    fields: dict[str, Any] = {
        "nodes": len(nodes),
        "whole": whole,
        "batch": batch,
        "weighted": sum(node.weight is not None for node in nodes),
        "operations": dict(Counter(node.name for node in inner).most_common(_MOST_KINDS)),
        "root": root_of(nodes[0]),
        "linear_pairs": linear_pairs(nodes, near.of_weight, outer),
        "squashed_twice": squashed_twice(nodes, near, outer),
        "softmaxes": softmaxes(nodes, near, outer, batch),
        "views": mixing_views(nodes, near, batch),
        "norms": norms(nodes, near, batch),
        "reused": reused(nodes, near.of_weight),
        "drops": drops(nodes, near),
        "spread_out": spread_out(outer, near),
        "residuals": residuals(outer, near),
        "hinges": hinges(outer, near),
    }
    return {
        name: value[:_MOST_LISTED] if isinstance(value, list) else value for name, value in fields.items()
    }


class Near:
    """Names where a node is: the module whose weight was applied last before it."""

    def __init__(self, nodes: list[Node], place: Place) -> None:
        self._place = place
        self._known: dict[int, str] = {}
        self._weights: dict[int, str] = {}
        for node in sorted(nodes, key=_made_at):
            leaf = node.weight if node.weight is not None else next(node.leaves(), None)
            found = place(leaf) if leaf is not None else ""
            if not found:
                found = next((self._known[id(s)] for s in node.grad_sources if self._known.get(id(s))), "")
            self._known[id(node)] = found

    def __call__(self, node: Node) -> str:
        """Path of that module; empty where there is none."""
        return self._known.get(id(node), "")

    def of_weight(self, tensor: torch.Tensor) -> str:
        """Path of the module that holds a parameter."""
        if id(tensor) not in self._weights:
            self._weights[id(tensor)] = self._place(tensor)
        return self._weights[id(tensor)]


def _made_at(node: Node) -> int:
    """Sources before what they go into; leaves first."""
    return int(node_time(node.raw))


def outer_nodes(nodes: list[Node]) -> dict[Node, None]:
    """Nodes between the loss and the last operations that have parameters, in order."""
    found: dict[Node, None] = {nodes[0]: None}
    waiting = [nodes[0]]
    while waiting:
        for source in waiting.pop().grad_sources:
            if source in found or source.leaf is not None or source.weight is not None:
                continue
            if any(True for _ in source.leaves()):
                continue
            found[source] = None
            waiting.append(source)
    return found
