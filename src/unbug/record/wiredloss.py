"""Patterns between the network's last weights and the loss: of losses that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch

from unbug.record.graphnodes import RESHAPES, Node, behind, saved_tensor
from unbug.record.targetfacts import REACH, outside_share

__all__ = ["hinges", "residuals", "root_of", "spread_out"]

Where = Callable[[Node], str]

_REDUCES = ("Mean", "Sum", "NllLoss", "NllLoss2D", "MseLoss", "SmoothL1Loss", "HuberLoss",
            "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "SoftMarginLoss")  # fmt: skip
_REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}
_COMPARES = ("Sub", "Rsub", "Add", "Mul", "Div", "Pow")
_PICKS = frozenset(("Select", "Slice", "Index", "Transpose", "Permute"))
_MOST = 65_536
_MOST_TERMS = 8


def root_of(node: Node) -> dict[str, Any]:
    """How the loss becomes one number: the constant factors in front, and the last reduction behind them.

    `terms` are those of a sum, each as the whole.
    """
    factor, inner = _behind_factors(node)
    fields = _reduced(inner, factor)
    if inner.name in ("Add", "Sub"):
        fields["terms"] = []
        waiting = [(inner, factor)]
        while waiting and len(fields["terms"]) < _MOST_TERMS:
            one, before = waiting.pop()
            for source in one.grad_sources:
                by, found = _behind_factors(source)
                total = None if by is None or before is None else before * by
                if found.name in ("Add", "Sub"):
                    waiting.append((found, total))
                else:
                    fields["terms"].append(_reduced(found, total))
    return fields


def _behind_factors(node: Node) -> tuple[float | None, Node]:
    """Constant factors in front of a node, None where one cannot be read, and what is behind."""
    factor: float | None = 1.0
    for _ in range(16):
        if node.name in ("Mul", "Div") and len(node.grad_sources) == 1:
            constant = saved_tensor(node.raw, "other" if node.sources[0] is not None else "self")
            one = float(constant) if constant is not None and constant.numel() == 1 else None
            if one is None or not one or (node.name == "Div" and node.sources[0] is None):
                factor = None
            elif factor is not None:
                factor = factor * one if node.name == "Mul" else factor / one
        elif node.name != "Neg" and not (node.name in RESHAPES and prod(node.shape) == 1):
            break
        inner = next(iter(node.grad_sources), None)
        if inner is None:
            break
        node = inner
    return factor, node


def _reduced(node: Node, factor: float | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"factor": factor, "op": node.name, "reduction": None, "elements": None}
    if node.name in _REDUCES:
        fields["reduction"] = _REDUCTIONS.get(getattr(node.raw, "_saved_reduction", -1))
        if node.name in ("Mean", "Sum"):
            fields["reduction"] = node.name.lower()
        source = next(iter(node.grad_sources), None)
        fields["elements"] = prod(source.shape) if source is not None else None
        fields["of"] = list(source.shape) if source is not None else []
        fields["signed"] = node.name in ("Mean", "Sum") and _is_signed(source)
    return fields


def _is_signed(node: Node | None) -> bool:
    """Whether a plain difference of outputs and constants is reduced: nothing makes it positive."""
    minus = behind(node, RESHAPES)
    if minus is None or minus.name not in ("Sub", "Rsub") or len(minus.grad_sources) != 1:
        return False
    output = behind(minus.grad_sources[0], RESHAPES | _PICKS)
    return output is not None and (output.weight is not None or output.name in REACH)


def spread_out(outer: Iterable[Node], near: Where) -> list[dict[str, Any]]:
    """Predictions of shape (N, 1) or (N,) that meet constants and become (N, N)."""
    found = []
    for node in outer:
        sources = node.grad_sources
        if node.name not in _COMPARES or len(node.sources) != 2 or len(sources) != 1:
            continue
        given, made = sources[0].shape, node.shape
        if len(made) == 2 and made[0] == made[1] > 1 and given in ((made[0], 1), (made[0],)):
            found.append({"place": near(node), "op": node.name, "given": list(given), "made": list(made)})
    return found


def residuals(outer: Iterable[Node], near: Where) -> list[dict[str, Any]]:
    """Differences of a bounded output and a constant target, with the share that the output cannot reach."""
    found = []
    for node in outer:
        if node.name not in ("Pow", "Abs"):
            continue
        minus = behind(next(iter(node.grad_sources), None), RESHAPES)
        if minus is None or minus.name not in ("Sub", "Rsub") or len(minus.grad_sources) != 1:
            continue
        output = behind(minus.grad_sources[0], RESHAPES)
        if output is None or output.name not in REACH:
            continue
        result = saved_tensor(output.raw, "result")
        difference = saved_tensor(node.raw, "self")
        if result is None or difference is None or result.numel() != difference.numel():
            continue
        sign = 1.0 if minus.sources[0] is not None and minus.name == "Sub" else -1.0
        target = (result.reshape(-1) - sign * difference.reshape(-1))[:_MOST]
        low, high = (float(one) for one in torch.aminmax(target))
        found.append({
            "place": near(node), "op": output.name, "target_min": low, "target_max": high,
            "outside": outside_share(output.name, target),
        })  # fmt: skip
    return found


def hinges(outer: Iterable[Node], near: Where) -> list[dict[str, Any]]:
    """Margins `max(0, 1 - y f)` with what `y` is."""
    found = []
    for node in outer:
        if node.name not in ("Relu", "Clamp", "ClampMin"):
            continue
        minus = next(iter(node.grad_sources), None)
        if minus is None or minus.name != "Rsub":
            continue
        times = next(iter(minus.grad_sources), None)
        if times is None or times.name != "Mul" or len(times.grad_sources) != 1:
            continue
        labels = saved_tensor(times.raw, "other" if times.sources[0] is not None else "self")
        if labels is None or labels.numel() < 2:
            continue
        values = torch.unique(labels.reshape(-1)[:_MOST]).tolist()
        found.append({"place": near(node), "labels": [float(one) for one in values[:5]]})
    return found
