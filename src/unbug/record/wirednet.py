"""Patterns in the graph of a network that are faults more often than not; the rules decide."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import accumulate, pairwise
from operator import mul
from typing import Any

import torch

from unbug.record.graphnodes import RESHAPES, Node, behind, saved_tensor

__all__ = ["drops", "mixes", "mixing_views", "norms", "reused", "softmaxes", "squashed_twice"]

Where = Callable[[Node], str]
OfWeight = Callable[[torch.Tensor], str]

_SQUASHES = frozenset(("Sigmoid", "Softmax"))
_OUTER_SQUASHES = _SQUASHES | {"LogSoftmax", "LogSigmoid"}
_RESHAPED = frozenset(("View", "UnsafeView", "Reshape", "ReshapeAlias"))
_NORMS = frozenset(("NativeBatchNorm", "NativeLayerNorm", "NativeGroupNorm"))
_MOST_SEEN = 500
_FEWEST_DROPPED = 32
_MOST_DROPPED = 4096


def squashed_twice(nodes: list[Node], near: Where, outer: Collection[Node]) -> list[dict[str, Any]]:
    """A sigmoid or softmax of the output of another one."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for node in nodes:
        if node.name not in _OUTER_SQUASHES:
            continue
        inner = behind(next(iter(node.grad_sources), None), RESHAPES)
        if inner is None or inner.name not in _SQUASHES:
            continue
        key = near(node), node.name, inner.name
        found[key] = {
            "place": key[0],
            "outer": node.name,
            "inner": inner.name,
            "shape": list(node.shape),
            "dim": dim_of(node),
            "inner_dim": dim_of(inner),
            "in_loss": node in outer,
        }
    return list(found.values())


def softmaxes(nodes: list[Node], near: Where, outer: Collection[Node], batch: int) -> list[dict[str, Any]]:
    """Softmaxes over the examples of the batch, over one element, or over what is not summed up next."""
    found: dict[tuple[str, str, tuple[int, ...]], dict[str, Any]] = {}
    for node in nodes:
        if node.name not in ("Softmax", "LogSoftmax"):
            continue
        dim, shape = dim_of(node), node.shape
        if dim is None or dim >= len(shape):
            continue
        summed = _summed(node)
        wanted = _classes(node)
        over_batch = dim == 0 and len(shape) >= 2 and shape[0] == batch > 1 and max(shape[1:]) > 1
        single = shape[dim] == 1
        other = summed is not None and summed != dim and shape[dim] > 1
        against = wanted is not None and wanted != dim
        if not (over_batch or single or other or against):
            continue
        found[near(node), node.name, shape] = {
            "place": near(node),
            "op": node.name,
            "dim": dim,
            "shape": list(shape),
            "over_batch": over_batch,
            "single": single,
            "summed": summed if other else None,
            "classes": wanted if against else None,
            "in_loss": node in outer,
        }
    return list(found.values())


def mixing_views(nodes: list[Node], near: Where, batch: int) -> list[dict[str, Any]]:
    """Views that give elements of one dimension to another."""
    found: dict[tuple[str, tuple[int, ...], tuple[int, ...]], dict[str, Any]] = {}
    for node in nodes:
        if node.name not in _RESHAPED:
            continue
        sizes = getattr(node.raw, "_saved_self_sym_sizes", None)
        if sizes is None or not node.shape:
            continue
        before = tuple(int(size) for size in sizes)
        kind = mixes(before, node.shape, batch)
        if kind:
            found[near(node), before, node.shape] = {
                "place": near(node),
                "before": list(before),
                "after": list(node.shape),
                "kind": kind,
            }
    return list(found.values())


def mixes(before: tuple[int, ...], after: tuple[int, ...], batch: int = 0) -> str:
    """How a view mixes dimensions.

    Returns:
        `swap` where sizes change places; `cut` where the cuts of the one lie across those of the other, or
        the examples of the batch were second and become first; empty where dimensions are only split and
        merged, and for the shift by one of relative positions.
    """
    one, two = [n for n in before if n != 1], [n for n in after if n != 1]
    if 0 in one or one == two:
        return ""
    if sorted(one) == sorted(two):
        skewed = one[:-2] == two[:-2] and abs(one[-1] - one[-2]) == 1
        return "" if skewed else "swap"
    if 2 <= len(after) < len(before) and before[0] != batch and before[1] == after[0] == batch > 1:
        return "cut"
    cuts = {*accumulate(reversed(one), mul), *accumulate(reversed(two), mul)}
    return "cut" if any(large % small for small, large in pairwise(sorted(cuts))) else ""


def norms(nodes: list[Node], near: Where, batch: int) -> list[dict[str, Any]]:
    """Vectors that are divided by a norm over the examples of the batch."""
    found = []
    for node in nodes:
        if node.name != "LinalgVectorNorm" or batch < 2:
            continue
        source = next(iter(node.grad_sources), None)
        dims = getattr(node.raw, "_saved_dim", None)
        if source is None or len(source.shape) < 2 or dims != (0,) or source.shape[0] != batch:
            continue
        if source.leaf is None and any(one.name == "Div" for one in _consumers(node)):
            found.append({"place": near(node), "shape": list(source.shape), "dim": 0})
    return found


def reused(nodes: list[Node], of_weight: OfWeight) -> list[dict[str, Any]]:
    """Weights that are applied several times, and whether one application follows another."""
    users: dict[int, tuple[torch.Tensor, list[Node]]] = {}
    for node in nodes:
        weight = node.weight
        if weight is None and node.name in _NORMS:
            weight = next(node.leaves(), None)
        if weight is not None:
            users.setdefault(id(weight), (weight, []))[1].append(node)
    found = []
    for weight, several in users.values():
        path = of_weight(weight) if len(several) > 1 else ""
        if path:
            found.append({"path": path, "uses": len(several), "in_series": _reaches(several[0], several[1:])})
    return found


def drops(nodes: list[Node], near: Where) -> list[dict[str, Any]]:
    """Dropout, known by the factors that it multiplies with: zero, or the inverse of what is kept."""
    found: dict[tuple[str, float], dict[str, Any]] = {}
    for node in nodes:
        if node.name != "Mul" or len(node.grad_sources) != 1:
            continue
        factors = saved_tensor(node.raw, "other" if node.sources[0] is not None else "self")
        if factors is None or tuple(factors.shape) != node.shape or factors.numel() < _FEWEST_DROPPED:
            continue
        if len(node.shape) < 2:  # one number for each example: a mask of losses
            continue
        part = factors.reshape(-1)[:_MOST_DROPPED]
        kept = part[part != 0]
        zeros = 1 - kept.numel() / part.numel()
        if kept.numel() and bool((kept == kept[0]).all()) and float(kept[0]) > 1:
            rate = 1 - 1 / float(kept[0])
        elif not kept.numel():
            rate = 1.0
        else:
            continue
        noise = (rate * (1 - rate) / part.numel()) ** 0.5
        if abs(zeros - rate) <= 5 * noise + 1e-6:
            key = near(node), round(rate, 3)
            found[key] = {"place": key[0], "rate": key[1], "shape": list(node.shape)}
    return list(found.values())


def dim_of(node: Node) -> int | None:
    """Over which dimension a softmax goes, counted from the front."""
    dim = getattr(node.raw, "_saved_dim", None)
    if not isinstance(dim, int):
        return None
    dim = dim - 2**64 if dim >= 2**63 else dim
    return dim + len(node.shape) if dim < 0 else dim


def _consumers(node: Node) -> list[Node]:
    """What uses a norm, behind clamping and expanding."""
    found: list[Node] = []
    waiting = list(node.consumers)
    for _ in range(16):
        if not waiting:
            break
        one = waiting.pop()
        if one.name in RESHAPES or one.name in ("ClampMin", "Clamp", "Add"):
            waiting += one.consumers
        else:
            found.append(one)
    return found


def _summed(node: Node) -> int | None:
    """Dimension of a softmax's result that a matrix product sums over; None where that is not clear."""
    rank = len(node.shape)
    one: Node = node
    for _ in range(8):
        if len(one.consumers) != 1:
            return None
        user = one.consumers[0]
        if user.name == "Bmm":
            sides = [index for index, source in enumerate(user.sources[:2]) if source is one]
            return None if len(sides) != 1 else rank - 1 if sides[0] == 0 else rank - 2
        dropped = user.name == "Mul" and len(user.grad_sources) == 1
        if not dropped and (user.name not in RESHAPES or user.shape[-2:] != node.shape[-2:]):
            return None
        one = user
    return None


def _classes(node: Node) -> int | None:
    """Dimension of the classes for a likelihood that a softmax's result goes to; None where that is not
    clear."""
    one: Node = node
    for _ in range(4):
        if len(one.consumers) != 1 or len(node.shape) < 2:
            return None
        user = one.consumers[0]
        if user.name.startswith("NllLoss"):
            return 1
        if user.name == "LogSoftmax" and user.shape == node.shape:
            return dim_of(user)
        if user.name not in ("Log", "Clamp", "ClampMin", "Add") or user.shape != node.shape:
            return None
        one = user
    return None


def _reaches(one: Node, others: list[Node]) -> bool:
    """Whether one of several nodes lies behind another."""
    every = {id(node) for node in (one, *others)}
    for start in (one, *others[:2]):
        seen = {id(start)}
        waiting = [start]
        while waiting and len(seen) < _MOST_SEEN:
            for source in waiting.pop().grad_sources:
                if id(source) in every and source is not start:
                    return True
                if id(source) not in seen:
                    seen.add(id(source))
                    waiting.append(source)
    return False
