"""What one loss call was given, in facts that tell a wrong call from a right one; and how good it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from unbug.record.made_by import made_by
from unbug.record.targetfacts import target_facts

__all__ = ["CLASSIFY", "ELEMENTWISE", "Facts", "Quality", "facts_of", "quality_of", "shapes_of"]

CLASSIFY = frozenset(("cross_entropy", "nll_loss", "multi_margin_loss"))
ELEMENTWISE = frozenset((
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "gaussian_nll_loss", "soft_margin_loss",
    "hinge_embedding_loss",
))  # fmt: skip
_REGRESS = frozenset(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"))
_MOST_CLASSES = 1_000_000
_UNIT_SLACK = 1e-6
_ROW_SLACK = 1e-3

Facts = dict[str, Any]
Quality = tuple[tuple[str, float], ...]
"""Names of series and their values."""


def shapes_of(function: str, arguments: Mapping[str, Any]) -> Facts:
    """What needs no look at elements: shapes, types, options."""
    given, target = operands(function, arguments)
    facts: Facts = {
        "reduction": arguments.get("reduction"),
        "input_shape": list(given.shape) if given is not None else None,
        "target_shape": list(target.shape) if target is not None else None,
        "target_dtype": str(target.dtype).removeprefix("torch.") if target is not None else None,
        "input_requires_grad": bool(given.requires_grad) if given is not None else None,
        "input_op": made_by(given) if given is not None else "",
        "broadcast": None,
        "classes": None,
        "ignore_index": None,
        "weighted": arguments.get("weight") is not None,
    }
    if given is not None and target is not None and function in ELEMENTWISE and given.shape != target.shape:
        try:
            facts["broadcast"] = list(torch.broadcast_shapes(given.shape, target.shape))
        except RuntimeError:
            facts["broadcast"] = None
    if given is not None and function in CLASSIFY and given.dim():
        facts["classes"] = int(given.shape[1] if given.dim() > 1 else given.shape[0])
        if function != "multi_margin_loss":
            facts["ignore_index"] = arguments.get("ignore_index")
    return facts


def operands(function: str, arguments: Mapping[str, Any]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Prediction and target of a loss call."""
    given = arguments.get("input")
    if given is None:
        given = next((value for value in arguments.values() if isinstance(value, torch.Tensor)), None)
    target = arguments.get("target")
    return (
        given if isinstance(given, torch.Tensor) else None,
        target if isinstance(target, torch.Tensor) else None,
    )


def facts_of(function: str, arguments: Mapping[str, Any]) -> Facts:
    """Ranges of the elements, read at once; nothing for empty, complex or distant tensors."""
    given, target = operands(function, arguments)
    facts: Facts = {}
    with torch.no_grad():
        if given is not None and _readable(given):
            values = given.detach()
            low, high = (float(one) for one in torch.aminmax(values))
            facts["input_min"], facts["input_max"] = low, high
            inside = low >= -_UNIT_SLACK and high <= 1 + _UNIT_SLACK
            facts["input_in_unit"] = inside
            if values.dim() >= 2 and function in CLASSIFY:
                sums = values.sum(dim=1, dtype=torch.float32)
                off = float((sums - 1).abs().max())
                facts["rows_sum_to_one"] = inside and off <= _ROW_SLACK
                if function == "nll_loss" and high <= _UNIT_SLACK:
                    logs = values.logsumexp(dim=1).abs().max()
                    facts["rows_are_log_probabilities"] = bool(logs <= _ROW_SLACK)
        if target is not None and _readable(target):
            kept = target.detach()
            low, high = (
                float(one)
                for one in torch.aminmax(kept.to(torch.uint8) if kept.dtype == torch.bool else kept)
            )
            facts["target_min"], facts["target_max"] = low, high
            facts |= target_facts(function, made_by(given) if given is not None else "", target)
            ignored = arguments.get("ignore_index")
            if (
                function in ("cross_entropy", "nll_loss")
                and not kept.is_floating_point()
                and isinstance(ignored, int)
            ):
                share = 0.0
                if low <= ignored <= high:
                    share = float((kept == ignored).sum()) / kept.numel()
                facts["ignored_share"] = share
    return facts


def quality_of(function: str, arguments: Mapping[str, Any]) -> Quality:
    """How good the predictions were, from the arguments alone.

    Returns:
        `call.accuracy`, the share of right ones, of a classification; with it `call.majority`, the accuracy
        of always saying the most frequent class, where each example has one class; `call.error`, the mean
        absolute error, of a regression. Empty where neither applies.
    """
    given, target = operands(function, arguments)
    if given is None or target is None or not _readable(given) or not _readable(target):
        return ()
    with torch.no_grad():
        values, wanted = given.detach(), target.detach()
        if function in CLASSIFY:
            return _accuracy(function, values, wanted, arguments.get("ignore_index"))
        if (
            function in ("binary_cross_entropy", "binary_cross_entropy_with_logits")
            and values.shape == wanted.shape
        ):
            bound = 0.5 if function == "binary_cross_entropy" else 0.0
            positive = wanted > 0.5
            right = float(((values > bound) == positive).sum()) / values.numel()
            if values.numel() != values.shape[0]:
                return (("call.accuracy", right),)
            share = float(positive.sum()) / values.numel()
            return ("call.accuracy", right), ("call.majority", max(share, 1 - share))
        if function in _REGRESS and values.shape == wanted.shape:
            return (("call.error", float((values - wanted).abs().mean(dtype=torch.float32))),)
    return ()


def _accuracy(function: str, values: torch.Tensor, wanted: torch.Tensor, ignored: object) -> Quality:
    classes = 1 if values.dim() > 1 else 0
    guessed = values.argmax(dim=classes)
    if wanted.is_floating_point():
        if wanted.shape != values.shape:
            return ()
        wanted = wanted.argmax(dim=classes)
    if guessed.shape != wanted.shape:
        return ()
    right = guessed == wanted
    if isinstance(ignored, int) and function != "multi_margin_loss":
        wanted = wanted[wanted != ignored]
    counted = wanted.numel()
    accuracy = float(right.sum()) / counted if counted else math.nan
    return ("call.accuracy", accuracy), ("call.majority", _majority(wanted))


def _majority(wanted: torch.Tensor) -> float:
    """Share of the most frequent class; NaN where there are none, or numbers that are no classes."""
    if not wanted.numel() or int(wanted.min()) < 0 or int(wanted.max()) > _MOST_CLASSES:
        return math.nan
    most = float(torch.bincount(wanted.reshape(-1)).max())
    return most / int(wanted.numel())


def _readable(tensor: torch.Tensor) -> bool:
    return bool(
        tensor.device.type == "cpu"
        and tensor.numel()
        and tensor.layout == torch.strided
        and not tensor.is_complex()
        and not tensor.is_quantized
    )
