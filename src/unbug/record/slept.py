"""What a row of a step that is slept through holds: the series, by what applies to the step."""

from __future__ import annotations

from typing import Any

import torch

from unbug.types import Place, Series

__all__ = ["parts_of", "rates_kept", "slept_series"]

_LOSS, _WAIT, _BATCH, _RATES = 1, 2, 4, 8


def parts_of(losses: int, waits: int, batch: int, rates: int) -> int:
    """One number for what applies: a loss, waiting, a batch size, and how many learning rates."""
    return rates * _RATES + (_LOSS if losses else 0) + (_WAIT if waits else 0) + (_BATCH if batch else 0)


def slept_series(training: int, parts: int) -> list[Series]:
    """The columns, in the order in which `dozing` writes them."""
    loop = Place(path="loop", kind="loop", training=training)
    loss = Place(path="loss", kind="loss", training=training)
    data = Place(path="data", kind="data", training=training)
    optimizer = Place(path="optimizer", kind="optimizer", training=training)
    series = []
    if parts & _LOSS:
        series = [Series(name="loss.value", place=loss), Series(name="loss.nonfinite", place=loss)]
    series.append(Series(name="step.time_s", place=loop, unit="s"))
    if parts & _WAIT:
        series.append(Series(name="step.wait_s", place=data, unit="s"))
    if parts & _BATCH:
        series.append(Series(name="step.batch_size", place=data, unit="examples"))
    series.append(Series(name="step.skipped", place=loop))
    series += [
        Series(name="optimizer.lr", place=optimizer, statistic=f"group {index}")
        for index in range(parts // _RATES)
    ]
    return series


def rates_kept(found: Any) -> list[float]:
    """Learning rates as numbers; none if one is something else (a device's tensor is not waited for)."""
    rates = []
    for rate in found if type(found) is tuple else (found,):
        if type(rate) is torch.Tensor:
            if not rate.is_cpu:
                return []
            rate = float(rate)
        if not isinstance(rate, (int, float)):
            return []
        rates.append(float(rate))
    return rates
