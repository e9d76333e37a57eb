"""Whether weights still have random values as layers are initialised with, from the `layers` event."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, sqrt
from typing import Any

from unbug.detect.wired import number

__all__ = ["is_drawn", "is_fresh"]

_KINDS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "LSTM", "GRU", "RNN")
_TABLES = ("Embedding", "EmbeddingBag")
_SAMPLE = 16_384
"""Values that `layers` looks at."""


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


def is_drawn(one: Mapping[str, Any], *, slack: float = 0.06, elements: int = 256) -> bool:
    """Whether a weight is as one of the usual initialisations draws it: normal or uniform around zero, with
    the deviation of He, Glorot, LeCun, an orthogonal matrix, or 0.01 or 0.02.

    Trained weights have heavier tails, a mean of their own, and no such deviation. That a deviation is met
    by chance is likelier than in `is_fresh`: ask only where nothing was loaded.

    Args:
        slack: The deviation is one of these, within so much of it and three times its noise.
        elements: Values that a weight needs to be judged.
    Source:
        Glorot and Bengio 2010; He et al. 2015; Devlin et al. 2019 for 0.02.
    """
    count, fan_in = int(one.get("elements") or 0), int(one.get("fan_in") or 0)
    deviation, mean, largest = number(one.get("std")), number(one.get("mean")), number(one.get("absmax"))
    known = one.get("class") in (*_KINDS, *_TABLES, "NonDynamicallyQuantizableLinear", "MultiheadAttention")
    if not known or count < elements or fan_in < 1 or not deviation > 0:
        return False
    seen = min(count, _SAMPLE)
    if abs(mean) > 4 * deviation / sqrt(seen):
        return False
    tails = sqrt(2 * log(seen))
    uniform = 1.6 < largest / deviation < 1.75
    if not uniform and not 0.65 * tails < largest / deviation < 1.45 * tails:
        return False
    fan_out = max(count // fan_in, 1)
    usual = [0.01, 0.02, sqrt(2 / fan_in), sqrt(1 / fan_in), sqrt(2 / (fan_in + fan_out)), sqrt(2 / fan_out)]
    usual += [sqrt(1 / fan_out), sqrt(1 / (3 * fan_in))]
    close = slack + 3 / sqrt(2 * seen)
    return any(abs(deviation / one_of - 1) <= close for one_of in usual)
