"""How much of what nonlinearities give lies where they are flat, read from the graph: the `flat` event.

The graph keeps what `tanh`, `sigmoid`, `softmax` and `relu` gave, be they modules, functions or parts of a
recurrent cell. A fused recurrent layer keeps its input and weights, from which its gates are estimated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.graphnodes import RESHAPES, Node, graph_of, saved_tensor
from unbug.record.wiring import Near, Place, outer_nodes

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.watched import Watched

__all__ = ["Flat", "flat_of", "is_due"]

_MOST_NODES = 3_000
_MOST_TAKEN, _MOST_OF_ONE, _MOST_LISTED = 256, 16, 40
_SAMPLE, _ROWS = 4_096, 64
_FEWEST = 32
_MOST_LOOKS, _MOST_TRAININGS = 2, 16
_MOST_S, _SHARE = 0.05, 0.002
_TANH, _SIGMOID, _SOFTMAX, _GATE = 0.99, 0.01, 0.999, 5.0
"""Output of tanh; of sigmoid, from either end; largest of a softmax; input of a gate: the slope is 2 %."""
_FUSED = "MkldnnRnnLayer"
_KINDS = frozenset(("Tanh", "Sigmoid", "Softmax", "Relu", _FUSED))


def is_due(step: int) -> bool:
    """Whether it is looked at in a step: in the first, and in those whose number is a power of two."""
    return step & (step - 1) == 0


class Flat:
    """Writes the event, until looking has taken its share of the time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._looks: dict[tuple[int, int], int] = {}
        self._began, self._spent_s = perf_counter(), 0.0

    def backward(self, watched: Watched, tensors: tuple[torch.Tensor, ...]) -> None:
        """Backward begins at these, in a step that is due."""
        training, start = watched.training, perf_counter()
        key = training.number, training.steps
        looks = self._looks.get(key, 0)
        if training.number >= _MOST_TRAININGS or looks >= _MOST_LOOKS:
            return
        if self._spent_s > _MOST_S + _SHARE * (start - self._began):
            return
        self._looks[key] = looks + 1
        found = watched.map

        def place(tensor: torch.Tensor) -> str:
            known = found.parameter(tensor) if found is not None else None
            return known.path if known is not None else ""

        items = flat_of(tensors, place)
        self._spent_s += perf_counter() - start
        if items:
            self._core.event("flat", {"items": items}, training=training.number, step=training.steps)


def flat_of(tensors: Iterable[torch.Tensor], place: Place) -> list[dict[str, Any]]:
    """What each kind of nonlinearity behind each weight gave, the last ones first.

    Returns:
        For each: `after` (the weight before it), `op`, `applied` (how often), `shape` of one result, `flat`
        (share of values in the flat part, of softmaxes share of rows), `dead` (share of units of a ReLU that
        are zero for all examples), `hidden` (weights come after it), `gate` (it multiplies something).
    """
    nodes, _ = graph_of(tensors, _MOST_NODES)
    try:
        if not any(node.name in _KINDS for node in nodes):
            return []
        return _items(nodes, Near(nodes, place), outer_nodes(nodes))
    finally:
        for node in nodes:
            node.forget()


def _items(nodes: list[Node], near: Near, outer: Collection[Node]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str, bool], dict[str, Any]] = {}
    taken = 0
    for node in nodes:
        if node.name not in _KINDS or taken >= _MOST_TAKEN:
            continue
        hidden = node not in outer
        key = near(node), node.name, hidden
        item = found.get(key)
        if item is not None and len(item["shares"]) >= _MOST_OF_ONE:
            item["applied"] += 1
            continue
        taken += 1
        seen = _gates(node) if node.name == _FUSED else _share(node)
        if seen is None:
            continue
        if item is None:
            if len(found) >= _MOST_LISTED:
                continue
            item = found[key] = {
                "after": key[0], "op": node.name, "shape": list(node.shape), "hidden": hidden,
                "gate": _is_gate(node), "applied": 0, "shares": [], "dead": [],
            }  # fmt: skip
        item["applied"] += 1
        item["shares"].append(seen[0])
        item["dead"].append(seen[1])
    for item in found.values():
        shares, dead = item.pop("shares"), item.pop("dead")
        item["flat"] = round(sum(shares) / len(shares), 4)
        item["dead"] = None if None in dead else round(sum(dead) / len(dead), 4)
    return list(found.values())


def _share(node: Node) -> tuple[float, float | None] | None:
    """Share of values that lie in the flat part, and of units that are zero for all; None if not to be
    known."""
    kept = saved_tensor(node.raw, "result")
    if kept is None or kept.dim() == 0 or not kept.is_floating_point() or kept.numel() < _FEWEST:
        return None
    part = kept[: max(_SAMPLE // max(kept[0].numel(), 1), 1)]
    if part.numel() > 64 * _SAMPLE:
        return None
    if node.name == "Tanh":
        return float((part.abs() >= _TANH).float().mean()), None
    if node.name == "Sigmoid":
        return float(((part <= _SIGMOID) | (part >= 1 - _SIGMOID)).float().mean()), None
    if node.name == "Softmax":
        dim = getattr(node.raw, "_saved_dim", -1)
        dim = dim - 2**64 if dim >= 2**63 else dim
        if part.dim() < 2 or kept.shape[dim] < 4 or dim in (0, -kept.dim()):
            return None
        return float((part.amax(dim) >= _SOFTMAX).float().mean()), None
    zero = part == 0
    return float(zero.float().mean()), _dead(zero)


def _dead(zero: torch.Tensor) -> float | None:
    """Share of units that are zero for all examples: channels of images, else elements of the last
    dimension."""
    if zero.dim() == 4:
        units = zero.transpose(0, 1).flatten(1)
    elif zero.dim() in (2, 3):
        units = zero.reshape(-1, zero.shape[-1]).T
    else:
        return None
    return float(units.all(1).float().mean()) if units.shape[1] >= 8 else None


def _gates(node: Node) -> tuple[float, None] | None:
    """Share of a fused layer's gates that its input alone drives into the flat part."""
    given, weight = saved_tensor(node.raw, "input"), saved_tensor(node.raw, "weight0")
    if given is None or weight is None or weight.dim() != 2 or given.shape[-1] != weight.shape[1]:
        return None
    rows = given.reshape(-1, given.shape[-1])
    stride = max(len(rows) // _ROWS, 1)
    with torch.no_grad():
        gates = rows[::stride][:_ROWS].float() @ weight.float().T
    return float((gates.abs() >= _GATE).float().mean()), None


def _is_gate(node: Node) -> bool:
    """Whether it is multiplied with something else that gradients go to."""
    waiting, seen = list(node.consumers), 0
    while waiting and seen < 8:
        one = waiting.pop()
        seen += 1
        if one.name == "Mul" and len(one.grad_sources) == 2:
            return True
        if one.name in RESHAPES:
            waiting += one.consumers
    return False
