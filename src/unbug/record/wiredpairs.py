"""Linear operations that follow each other with nothing between them that is not linear."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch

from unbug.record.graphnodes import RESHAPES, Node, behind

__all__ = ["linear_pairs"]

_LINEAR = frozenset(("Addmm", "Mm", "Convolution"))
_PASSED = RESHAPES | {"NativeBatchNorm", "CudnnBatchNorm", "NativeDropout"}
_PARTS = frozenset(("Split", "SplitWithSizes", "Unbind", "Chunk", "Select", "Slice", "Transpose", "Permute"))


def linear_pairs(
    nodes: list[Node], of_weight: Callable[[torch.Tensor], str], outer: Collection[Node]
) -> list[dict[str, Any]]:
    """Linear operations with nothing but shapes, normalisation by BatchNorm or dropout between them."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for node in nodes:
        if node.name not in _LINEAR or node.weight is None:
            continue
        first, through = _before(node.input)
        if first is None or first.weight is None or first.weight is node.weight:
            continue
        names = of_weight(first.weight), of_weight(node.weight)
        if not all(names) or names in found:
            continue
        after = _after(node)
        found[names] = {
            "first": names[0],
            "second": names[1],
            "in": _inner(first),
            "width": _width(first),
            "out": _width(node),
            "groups": max(_groups(first), _groups(node)),
            "through": through,
            "after_attention": _name_behind(first.input) in ("Bmm", "ScaledDotProductFlashAttentionForCpu"),
            "into_parts": any(one.name in _PARTS or one.name == "Bmm" for one in after),
            "last": bool(after) and all(one in outer for one in after),
        }
    return list(found.values())


def _before(node: Node | None) -> tuple[Node | None, list[str]]:
    """The linear operation that gives a node its values, and the operations on the way."""
    through: list[str] = []
    for _ in range(16):
        if node is None or len(node.consumers) != 1:
            return None, through
        if node.name in _LINEAR:
            return node, through
        dropped = node.name == "Mul" and len(node.grad_sources) == 1
        if not dropped and node.name not in _PASSED:
            return None, through
        if node.name not in RESHAPES:
            through.append("Dropout" if dropped or node.name == "NativeDropout" else "BatchNorm")
        node = next(iter(node.grad_sources), None)
    return None, through


def _after(node: Node) -> list[Node]:
    """What uses a node's values, behind those that only reshape them."""
    found: list[Node] = []
    waiting = list(node.consumers)
    for _ in range(32):
        if not waiting:
            break
        one = waiting.pop()
        if one.name in RESHAPES:
            waiting += one.consumers
        else:
            found.append(one)
    return found


def _name_behind(node: Node | None) -> str:
    found = behind(node, RESHAPES | _PARTS)
    return found.name if found is not None else ""


def _width(node: Node) -> int:
    """Outputs of a linear operation: features or channels."""
    if not node.shape:
        return 0
    return node.shape[1] if node.name == "Convolution" and len(node.shape) > 1 else node.shape[-1]


def _inner(node: Node) -> int:
    """Inputs of a linear operation for each output, a convolution's kernel left out."""
    weight = node.weight
    if weight is None or weight.dim() < 2:
        return 0
    if node.name == "Convolution":
        turned = bool(getattr(node.raw, "_saved_transposed", False))
        return int(weight.shape[0 if turned else 1])
    return int(weight.numel()) // max(_width(node), 1)


def _groups(node: Node) -> int:
    return int(getattr(node.raw, "_saved_groups", 1))
