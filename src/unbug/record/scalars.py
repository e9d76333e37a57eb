"""The row of numbers that every step of a training has, with those that apply to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch

from unbug.record.gathered import Number
from unbug.record.progress import Progress
from unbug.record.rows import Later, OfNumbers
from unbug.record.trainings import OptimizerState
from unbug.store import Writer
from unbug.types import Place, Series

__all__ = ["Scalars", "learning_rates", "loss_later"]


class Scalars:
    """Writes them for one training. What does not apply to a step is left out: missing is missing."""

    def __init__(self, writer: Writer, training: int) -> None:
        self._writer = writer
        self._groups: dict[tuple[bool, bool, bool, bool, int], int] = {}
        self._others: dict[tuple[int, bool, int], int] = {}
        self._loop = Place(path="loop", kind="loop", training=training)
        self._loss = Place(path="loss", kind="loss", training=training)
        self._data = Place(path="data", kind="data", training=training)
        self._optimizer = Place(path="optimizer", kind="optimizer", training=training)

    def row(
        self, progress: Progress, state: OptimizerState | None, *, time_s: float | None, skipped: bool
    ) -> tuple[int, list[float] | Later]:
        """Group and values of a step of the primary optimizer."""
        rates = learning_rates(state)
        late = progress.device_losses
        key = (progress.losses > 0, time_s is not None, progress.waits > 0, progress.batch > 0, len(rates))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._declare(key)
        values: list[float] = []
        if key[0]:
            loss = progress.loss / (float(state.scale) if state is not None else 1.0)
            values = [loss, 0.0 if math.isfinite(loss) else 1.0]
        if time_s is not None:
            values.append(time_s)
        if key[2]:
            values.append(progress.wait_s)
        if key[3]:
            values.append(float(progress.batch))
        values += (float(progress.micro), float(skipped), float(progress.stale))
        values += rates
        if late:
            scale = state.scale if state is not None else 1.0
            return group, loss_later(late, progress.loss, scale, values[2:])
        return group, values

    def other_row(
        self, progress: Progress, state: OptimizerState, number: int
    ) -> tuple[int, list[float] | Later] | None:
        """Group and values of a step of another optimizer; None if it has nothing to say."""
        rates = learning_rates(state)
        key = (number, progress.losses > 0, len(rates))
        group = self._others.get(key)
        if group is None:
            series = []
            name = f"optimizer {number}"
            if key[1]:
                series.append(Series(name="loss.other", place=self._loss, statistic=name))
            series += [
                Series(name="optimizer.lr", place=self._optimizer, statistic=f"{name} group {index}")
                for index in range(len(rates))
            ]
            if not series:
                return None
            group = self._others[key] = self._writer.group(series)
        values = [progress.loss_value(float(state.scale))] if key[1] else []
        values += rates
        if progress.device_losses:
            rest = values[1:]
            return group, OfNumbers(
                [state.scale, *progress.device_losses], lambda got: [sum(got[1:]) / got[0], *rest]
            )
        return group, values

    def _declare(self, key: tuple[bool, bool, bool, bool, int]) -> int:
        loss, time_s, wait, batch, rates = key
        series = []
        if loss:
            series.append(Series(name="loss.value", place=self._loss))
            series.append(Series(name="loss.nonfinite", place=self._loss))
        if time_s:
            series.append(Series(name="step.time_s", place=self._loop, unit="s"))
        if wait:
            series.append(Series(name="step.wait_s", place=self._data, unit="s"))
        if batch:
            series.append(Series(name="step.batch_size", place=self._data, unit="examples"))
        series.append(Series(name="step.micro_steps", place=self._loop))
        series.append(Series(name="step.skipped", place=self._loop))
        series.append(Series(name="loop.stale_gradient", place=self._loop))
        series += [
            Series(name="optimizer.lr", place=self._optimizer, statistic=f"group {index}")
            for index in range(rates)
        ]
        return self._writer.group(series)


def _nonfinite(loss: float, losses: Iterable[Number]) -> float:
    """1 where the loss is not finite, NaN where that is not known."""
    if any(one.lost for one in losses):
        return math.nan
    return 0.0 if math.isfinite(loss) else 1.0


def learning_rates(state: OptimizerState | None) -> list[float]:
    """One for each parameter group; empty where a device would have to be waited for."""
    optimizer = state.ref() if state is not None else None
    if optimizer is None:
        return []
    rates = [group.get("lr") for group in optimizer.param_groups]
    if all(type(rate) is float for rate in rates):
        return rates
    rates = []
    for group in optimizer.param_groups:
        rate = group.get("lr")
        if isinstance(rate, torch.Tensor):
            if rate.device.type != "cpu":
                return []
            rate = rate.item()
        if not isinstance(rate, (int, float)):
            return []
        rates.append(float(rate))
    return rates


def loss_later(
    losses: Sequence[Number],
    known: float,
    scale: Number | float,
    rest: Sequence[float],
    *,
    heard: Callable[[float], None] | None = None,
) -> OfNumbers:
    """A row of the loss, unscaled, of whether it is finite, and of what else is known.

    Args:
        known: What is known of the loss already.
        heard: Told of the loss when it has arrived.
    """

    def finish(got: list[float]) -> list[float]:
        loss = (known + sum(got[1:])) / got[0]
        if heard is not None and not any(one.lost for one in losses):
            heard(loss)
        return [loss, _nonfinite(loss, losses), *rest]

    return OfNumbers([scale, *losses], finish)
