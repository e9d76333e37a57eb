"""The graph of a loss as plain nodes: name, shape, sources and consumers, and the weights that are leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

__all__ = ["RESHAPES", "Node", "behind", "graph_of", "saved_tensor"]

RESHAPES = frozenset((
    "View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Alias",
    "Expand", "Flatten",
))  # fmt: skip
_WEIGHTED = {"Addmm": (1, 2), "Mm": (0, 1), "Convolution": (0, 1), "Baddbmm": (1, 2)}
"""Operation -> which sources are its input and its weight."""
_TURNS = RESHAPES | {"T", "Transpose", "Permute"}
_DEEP = 4
_names: dict[type, str] = {}


class Node:
    """One operation. `sources` are None where a gradient goes nowhere; `weight` is a leaf that it applies."""

    __slots__ = ("_shape", "consumers", "leaf", "name", "raw", "sources", "weight")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        kind = type(raw)
        name = _names.get(kind)
        if name is None:
            name = _names[kind] = kind.__name__.rstrip("0123456789").removesuffix("Backward")
        self.name = name
        self._shape: tuple[int, ...] | None = None
        self.sources: list[Node | None] = []
        self.consumers: list[Node] = []
        self.leaf: torch.Tensor | None = None
        self.weight: torch.Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result; empty where it is not known."""
        if self._shape is None:
            self._shape = _shape(self.raw)
        return self._shape

    @property
    def grad_sources(self) -> list[Node]:
        """Sources that gradients go to."""
        return [one for one in self.sources if one is not None]

    @property
    def input(self) -> Node | None:
        """What the weight is applied to."""
        return self.sources[_WEIGHTED[self.name][0]]

    def forget(self) -> None:
        """Let go of everything."""
        self.raw = self.leaf = self.weight = None
        self.sources.clear()
        self.consumers.clear()

    def leaves(self) -> Iterator[torch.Tensor]:
        """Leaves that are direct sources."""
        for one in self.grad_sources:
            if one.leaf is not None:
                yield one.leaf


def graph_of(tensors: Iterable[torch.Tensor], most: int) -> tuple[list[Node], bool]:
    """The nodes behind tensors, these first; and whether these are all of them."""
    nodes: list[Node] = []
    known: dict[int, Node] = {}
    for tensor in tensors:
        raw = tensor.grad_fn
        if raw is not None and id(raw) not in known:
            known[id(raw)] = Node(raw)
            nodes.append(known[id(raw)])
    whole = True
    for node in nodes:  # grows while it is walked
        if len(nodes) >= most:
            whole = False
            break
        for raw, _ in node.raw.next_functions:
            if raw is None:
                node.sources.append(None)
                continue
            source = known.get(id(raw))
            if source is None:
                source = known[id(raw)] = Node(raw)
                leaf = getattr(raw, "variable", None) if not raw.next_functions else None
                if isinstance(leaf, torch.Tensor):
                    source.leaf = leaf
                nodes.append(source)
            node.sources.append(source)
            source.consumers.append(node)
    for node in nodes:
        where = _WEIGHTED.get(node.name)
        if where is not None and len(node.sources) > where[1]:
            node.weight = _leaf(node.sources[where[1]])
    return nodes, whole


def behind(node: Node | None, names: frozenset[str]) -> Node | None:
    """The first node that is not one of the named operations, along first sources."""
    for _ in range(16):
        if node is None or node.name not in names:
            return node
        node = next(iter(node.grad_sources), None)
    return None


def saved_tensor(raw: Any, which: str) -> torch.Tensor | None:
    """A tensor that a node has kept; not where the program packs what is kept: its own code would run."""
    kept = getattr(raw, f"_raw_saved_{which}", None)
    if kept is None or getattr(kept, "unpack_hook", kept) is not None:
        return None
    try:
        tensor = getattr(raw, f"_saved_{which}")
    except RuntimeError:  # changed in place since
        return None
    if not isinstance(tensor, torch.Tensor) or tensor.device.type != "cpu" or tensor.is_complex():
        return None
    return tensor.detach()


def _leaf(node: Node | None) -> torch.Tensor | None:
    for _ in range(_DEEP):
        if node is None:
            return None
        if node.leaf is not None:
            return node.leaf
        if node.name not in _TURNS:
            return None
        node = next(iter(node.grad_sources), None)
    return None


def _shape(raw: Any) -> tuple[int, ...]:
    known = getattr(raw, "_input_metadata", None)
    if not known:
        return ()
    try:
        return tuple(int(size) for size in known[0].shape)
    except (RuntimeError, TypeError, AttributeError):  # a size that is not known, or a nested tensor
        return ()
