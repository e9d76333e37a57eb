"""Steps too short to be watched: of each, loss, time, wait, batch size and learning rates are kept.

Nothing else is. In these steps every Python call counts ten times: the step before has emptied the caches
(`bench/cost.py`). So the hub calls `backward`, `begins`, `stepped` and `batch` straight, and these serve the
common case alone: one optimizer, on the CPU, no loss scaling (`hooks.contract.Nap`). All else comes by way of
the recorder, and of `told_backward` and `told_step`.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from threading import get_ident
from time import perf_counter_ns
from typing import Any

import torch
from torch.optim import Optimizer

from unbug.record.core import Core
from unbug.record.rows import Later
from unbug.record.scalars import learning_rates
from unbug.record.tensors import first_tensor
from unbug.record.trainings import LiveTraining, OptimizerState
from unbug.types import Phase, Place, Series

__all__ = ["Dozing"]

_LOSS, _WAIT, _BATCH, _RATES = 1, 2, 4, 8
_TRAIN = int(Phase.TRAIN)
_TIMED = 16
"""Every so manieth slept step is timed, and counts for all."""

Slept = tuple[int, int, float, int, Any, float, int, int]
"""Step, end, loss, losses in it, learning rate or rates as they stand, wait, waits, examples."""


def _no_optimizer() -> None:
    return None


class Dozing:
    """What is kept of the step in progress while the recorder sleeps.

    Steps that took the short cut wait as tuples until the recorder wakes or the writer is about to flush:
    then they become rows together, in warm caches.

    Args:
        wake: Called when the sleep is over, with its last step counted.
    """

    __slots__ = (
        "_batch", "_core", "_drained_ns", "_draining", "_groups", "_late", "_loss", "_losses", "_offset_ns",
        "_optimizer", "_state", "_thread", "_training", "_wait_s", "_waiting", "_waits", "_wake", "inside",
        "slept",
    )  # fmt: skip

    def __init__(self, core: Core, wake: Callable[[], None]) -> None:
        self._core = core
        self._wake = wake
        self._groups: dict[tuple[int, int], int] = {}
        self._optimizer: Callable[[], Optimizer | None] = _no_optimizer
        self._training: LiveTraining | None = None
        self._state: OptimizerState | None = None
        self._thread = 0
        self._offset_ns = 0
        self._waiting: deque[Slept] = deque()
        self._draining = threading.Lock()
        self._drained_ns = 0
        self.inside = False
        self._loss = 0.0
        self._losses = 0
        self._wait_s = 0.0
        self._waits = 0
        self._batch = 0
        self._late: list[torch.Tensor] = []
        self.slept = 0
        core.writer.before_flush(self.drain)

    def begin(self, now_ns: int, training: LiveTraining, thread: int) -> bool:
        """Sleep begins after a step that ended at `now_ns`; true if the hub may take the short cut."""
        self._drained_ns = now_ns
        self._offset_ns = self._core.clock_ns() - perf_counter_ns()
        self._thread = thread
        self._forget()
        self._training, self._state = training, training.primary
        state = training.primary
        if state is None or state.scaled or state.scale != 1.0:
            self._optimizer = _no_optimizer
            return False
        self._optimizer = state.ref
        return True

    # The short cut; see hooks.contract.Nap.
    def backward(self, tensor: torch.Tensor) -> bool:
        """A plain tensor; a real number on the CPU is read here."""
        if tensor.ndim or not tensor.is_cpu or get_ident() != self._thread:
            return False
        if not (self.inside and self._losses):
            loss = tensor.item()
            if type(loss) is not float:
                return False
            self._losses += 1
            self._loss += loss
        return True

    def begins(self, optimizer: Optimizer) -> bool:
        """Of the optimizer that counts the steps, in the thread that trains."""
        if self._optimizer() is optimizer and get_ident() == self._thread:
            self.inside = True
            return True
        return False

    def stepped(self, optimizer: Optimizer) -> bool:
        """Keep a step of the optimizer that counts them. The last one is told the long way."""
        core, training, loss = self._core, self._training, self._loss
        left = core.asleep
        if left <= 1 or loss - loss != 0.0 or self._late or self._optimizer() is not optimizer:
            return False
        now = perf_counter_ns()
        groups: list[dict[str, Any]] = optimizer.param_groups  # type: ignore[union-attr]
        rate = groups[0]["lr"] if len(groups) == 1 else tuple([group["lr"] for group in groups])
        step = training.steps  # type: ignore[union-attr]
        self._waiting.append((step, now, loss, self._losses, rate, self._wait_s, self._waits, self._batch))
        training.steps = step + 1  # type: ignore[union-attr]
        core.asleep = left - 1
        self.slept += 1
        self.inside = False
        self._loss = 0.0
        self._losses = 0
        if self._waits:
            self._wait_s, self._waits, self._batch = 0.0, 0, 0
        if not left % _TIMED:
            core.spent += (perf_counter_ns() - now) * _TIMED
        return True

    def batch(self, batch: Any, wait_s: float) -> None:
        """A data loader delivered."""
        if get_ident() != self._thread:
            return
        self._wait_s += wait_s
        self._waits += 1
        tensor = first_tensor(batch)
        if tensor is not None and tensor.dim():
            self._batch += int(tensor.shape[0])

    # The long way.
    def told_backward(self, tensors: tuple[torch.Tensor, ...]) -> None:
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

    def told_step(self, training: LiveTraining, state: OptimizerState, *, skipped: bool) -> None:
        """A step ended; an optimizer that does not count the steps leaves the next loss to another."""
        if training.primary is not state:
            self._forget()
            return
        start = perf_counter_ns()
        core = self._core
        self.drain()
        rates = learning_rates(state)
        group = self._group(training.number, self._losses, self._waits, self._batch, len(rates))
        time_s, self._drained_ns = (start - self._drained_ns) / 1e9, start
        rest = [time_s]
        if self._waits:
            rest.append(self._wait_s)
        if self._batch:
            rest.append(float(self._batch))
        rest += [float(skipped), *rates]
        loss = self._loss / state.scale
        t_ns, step = start + self._offset_ns, training.steps
        if self._late:
            later = _later(self._late, self._loss, state.scale, rest)
            core.rows.later(group, later, t_ns, training.number, step, 0, _TRAIN)
            core.rows.poll()
        else:
            values = [loss, 0.0 if math.isfinite(loss) else 1.0, *rest] if self._losses else rest
            core.writer.row(group, values, t_ns=t_ns, training=training.number, step=step, phase=_TRAIN)
        self._forget()
        self._training, self._state = training, state
        training.steps += 1
        self.slept += 1
        core.asleep -= 1
        core.spent += perf_counter_ns() - start
        if not core.asleep or not math.isfinite(loss):
            self._wake()

    def raised(self) -> None:
        """A step raised: what it had begun is forgotten."""
        self._forget()

    def end(self) -> int:
        """Sleep is over: write what waits, count the steps; returns how many there were."""
        self.drain()
        slept, self.slept = self.slept, 0
        self._optimizer = _no_optimizer
        if slept and self._state is not None:
            self._core.trainings.stepped(self._state, steps=slept)
        self._forget()
        return slept

    def drain(self) -> None:
        """Make rows of the steps that wait. Called by the training's thread and by the one that flushes."""
        waiting, training = self._waiting, self._training
        if not waiting or training is None or not self._draining.acquire(blocking=False):
            return
        try:
            row, offset, last, number = (
                self._core.writer.row,
                self._offset_ns,
                self._drained_ns,
                training.number,
            )
            while waiting:
                step, now, loss, losses, rate, wait_s, waits, batch = waiting.popleft()
                rates = _rates(rate)
                values = [loss, 0.0] if losses else []
                values.append((now - last) / 1e9)
                if waits:
                    values.append(wait_s)
                if batch:
                    values.append(float(batch))
                values.append(0.0)
                values += rates
                last = self._drained_ns = now
                group = self._group(number, losses, waits, batch, len(rates))
                row(group, values, t_ns=now + offset, training=number, step=step, phase=_TRAIN)
        finally:
            self._draining.release()

    def _group(self, training: int, losses: int, waits: int, batch: int, rates: int) -> int:
        parts = rates * _RATES + (_LOSS if losses else 0) + (_WAIT if waits else 0) + (_BATCH if batch else 0)
        group = self._groups.get((training, parts))
        if group is None:
            group = self._groups[training, parts] = self._declare(training, parts)
        return group

    def _forget(self) -> None:
        self.inside = False
        self._loss, self._losses = 0.0, 0
        self._wait_s, self._waits, self._batch = 0.0, 0, 0
        if self._late:
            self._late = []

    def _declare(self, training: int, parts: int) -> int:
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
        return self._core.writer.group(series)


def _later(losses: list[torch.Tensor], known: float, scale: float, rest: list[float]) -> Later:
    vector = torch.stack(losses).sum().reshape(1)

    def finish(got: list[float]) -> list[float]:
        loss = (known + got[0]) / scale
        return [loss, 0.0 if math.isfinite(loss) else 1.0, *rest]

    return Later(vector, finish)


def _rates(found: Any) -> list[float]:
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
