"""Steps too short to be watched: of each, loss, time and learning rates are kept, and nothing else."""

from __future__ import annotations

import math
from time import perf_counter_ns

import torch

from unbug.record.core import Core
from unbug.record.rows import Later
from unbug.record.scalars import learning_rates
from unbug.record.trainings import LiveTraining, OptimizerState
from unbug.types import Phase, Place, Series

__all__ = ["Dozing"]


class Dozing:
    """What is kept of the step in progress while the recorder sleeps."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._groups: dict[tuple[int, bool, int], int] = {}
        self.inside = False
        self._loss = 0.0
        self._losses = 0
        self._late: list[torch.Tensor] = []
        self._last_ns = 0

    def begin(self, now_ns: int) -> None:
        """Sleep begins after a step that ended at `now_ns`."""
        self._last_ns = now_ns
        self._forget()

    def backward(self, tensors: tuple[torch.Tensor, ...]) -> None:
        """Backward is called; inside a step (closures) only the first call counts, as when awake."""
        if self.inside and self._losses:
            return
        for tensor in tensors:
            if tensor.numel() == 1 and not tensor.is_complex() and not tensor.is_meta:
                self._losses += 1
                if tensor.device.type == "cpu":
                    self._loss += tensor.item()
                else:
                    self._late.append(tensor.detach().double().reshape(()))

    def other_step(self) -> None:
        """An optimizer that does not count the steps made one: the next loss is another's."""
        self._forget()

    def step(self, training: LiveTraining, state: OptimizerState, *, skipped: bool) -> bool:
        """Write the row of a step that ended.

        Returns:
            Whether its loss is finite, as far as that is known without waiting for a device.
        """
        core = self._core
        now = perf_counter_ns()
        time_s = (now - self._last_ns) / 1e9
        self._last_ns = now
        rates = learning_rates(state)
        has_loss = self._losses > 0
        key = (training.number, has_loss, len(rates))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._declare(*key)
        loss = self._loss / state.scale
        finite = math.isfinite(loss)
        rest = [time_s, float(skipped), *rates]
        t_ns, step = core.clock_ns(), training.steps
        if self._late:
            later = _later(self._late, self._loss, state.scale, rest)
            core.rows.later(group, later, t_ns, training.number, step, 0, Phase.TRAIN)
            core.rows.poll()
        else:
            values = [loss, 0.0 if finite else 1.0, *rest] if has_loss else rest
            core.writer.row(group, values, t_ns=t_ns, training=training.number, step=step, phase=Phase.TRAIN)
        self._forget()
        return finite

    def _forget(self) -> None:
        self.inside = False
        self._loss = 0.0
        self._losses = 0
        if self._late:
            self._late = []

    def _declare(self, training: int, has_loss: bool, rates: int) -> int:
        loop = Place(path="loop", kind="loop", training=training)
        loss = Place(path="loss", kind="loss", training=training)
        optimizer = Place(path="optimizer", kind="optimizer", training=training)
        series = []
        if has_loss:
            series = [Series(name="loss.value", place=loss), Series(name="loss.nonfinite", place=loss)]
        series += [Series(name="step.time_s", place=loop, unit="s"), Series(name="step.skipped", place=loop)]
        series += [
            Series(name="optimizer.lr", place=optimizer, statistic=f"group {index}") for index in range(rates)
        ]
        return self._core.writer.group(series)


def _later(losses: list[torch.Tensor], known: float, scale: float, rest: list[float]) -> Later:
    vector = torch.stack(losses).sum().reshape(1)

    def finish(got: list[float]) -> list[float]:
        loss = (known + got[0]) / scale
        return [loss, 0.0 if math.isfinite(loss) else 1.0, *rest]

    return Later(vector, finish)
