"""Whether weights still have the random values that PyTorch makes layers with, from the `layers` event."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from unbug.detect.wired import number

__all__ = ["is_fresh"]

_KINDS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "LSTM", "GRU", "RNN")
_TABLES = ("Embedding", "EmbeddingBag")


def is_fresh(
    one: Mapping[str, Any],
    *,
    edge: float = 0.95,
    slack: float = 0.1,
    table: int = 1000,
    elements: int = 64,
) -> bool:
    """Whether a weight of `layers` has the distribution that its layer is made with.

    Args:
        edge: Its largest value is at least so much of the bound of the uniform distribution.
        slack: Its deviation is that of the distribution, within so much of it.
        table: Values that an embedding needs to be judged.
        elements: Values that any other weight needs.
    Source:
        He et al. 2015 for `kaiming_uniform_(a=sqrt(5))`, the default of `torch.nn.Linear`; embeddings are
        made standard normal.
    """
    if one.get("class") in _TABLES:
        close = abs(number(one.get("std")) - 1) <= slack / 2 and abs(number(one.get("mean"))) <= slack / 2
        return close and int(one.get("elements") or 0) >= table
    if one.get("class") not in _KINDS or int(one.get("elements") or 0) < elements:
        return False
    bound = 1 / sqrt(max(int(one.get("fan_in") or 0), 1))
    largest, deviation = number(one.get("absmax")), number(one.get("std"))
    inside = edge * bound <= largest <= bound * 1.0001
    return inside and abs(deviation * sqrt(3) / bound - 1) <= slack
