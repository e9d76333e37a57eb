"""Steps too short to be watched: of each, loss, time, wait, batch size and learning rates are kept.

Nothing else is. In these steps every Python call counts ten times: the step before has emptied the caches
(`bench/cost.py`). So the hub calls `backward`, `begins`, `stepped` and `batch` straight, and these serve the
common case alone: one optimizer, no loss scaling (`hooks.contract.Nap`). All else comes by way of the
recorder, and of `told_backward` and `told_step`; so does now and then a step whose loss is on a device.
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
from unbug.record.gathered import Number
from unbug.record.scalars import learning_rates, loss_later
from unbug.record.slept import parts_of, rates_kept, slept_series
from unbug.record.tensors import at_hand, first_tensor
from unbug.record.trainings import LiveTraining, OptimizerState
from unbug.types import Phase

__all__ = ["Dozing"]

_TRAIN = int(Phase.TRAIN)
_TIMED = 16
"""Every so manieth slept step is timed, and counts for all."""

Slept = tuple[int, int, float, int, Any, float, int, int, list[Number]]
"""Step, end, loss, losses in it, learning rate or rates as they stand, wait, waits, examples,
what the loss has on a device."""


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
        self._late: list[Number] = []
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
        """A plain tensor; a real number on the CPU is read here, one on a device is held on to."""
        if tensor.ndim or get_ident() != self._thread:
            return False
        if not (self.inside and self._losses):
            if not at_hand(tensor):
                if not tensor.is_floating_point():
                    return False
                self._losses += 1
                self._late.append(self._core.rows.gathered.take(tensor))
                return True
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
        core, training, loss, late = self._core, self._training, self._loss, self._late
        left = core.asleep
        if left <= 1 or loss - loss != 0.0 or self._optimizer() is not optimizer:
            return False
        if late:
            gathered = core.rows.gathered
            if gathered.due:
                return False
            gathered.turn += 1
            self._late = []
        now = perf_counter_ns()
        groups: list[dict[str, Any]] = optimizer.param_groups  # type: ignore[union-attr]
        rate = groups[0]["lr"] if len(groups) == 1 else tuple([group["lr"] for group in groups])
        step = training.steps  # type: ignore[union-attr]
        self._waiting.append(
            (step, now, loss, self._losses, rate, self._wait_s, self._waits, self._batch, late or [])
        )
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
                if at_hand(tensor):
                    self._loss += tensor.item()
                else:
                    self._late.append(self._core.rows.gathered.take(tensor))

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
        loss = self._loss / float(state.scale)
        t_ns, step = start + self._offset_ns, training.steps
        if self._late:
            later = loss_later(self._late, self._loss, state.scale, rest, heard=self._heard)
            core.rows.later(group, later, t_ns, training.number, step, 0, _TRAIN)
            core.rows.gathered.turn += 1
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
                step, now, loss, losses, rate, wait_s, waits, batch, late = waiting.popleft()
                rates = rates_kept(rate)
                values = [loss, 0.0] if losses and not late else []
                values.append((now - last) / 1e9)
                if waits:
                    values.append(wait_s)
                if batch:
                    values.append(float(batch))
                values.append(0.0)
                values += rates
                last = self._drained_ns = now
                group = self._group(number, losses, waits, batch, len(rates))
                if late:
                    later = loss_later(late, loss, 1.0, values, heard=self._heard)
                    self._core.rows.later(group, later, now + offset, number, step, 0, _TRAIN)
                else:
                    row(group, values, t_ns=now + offset, training=number, step=step, phase=_TRAIN)
        finally:
            self._draining.release()

    def _heard(self, loss: float) -> None:
        """A loss of a device has arrived: the sleep ends if it is not finite."""
        if not math.isfinite(loss) and self._core.asleep:
            self._core.asleep = 1

    def _group(self, training: int, losses: int, waits: int, batch: int, rates: int) -> int:
        parts = parts_of(losses, waits, batch, rates)
        group = self._groups.get((training, parts))
        if group is None:
            group = self._groups[training, parts] = self._core.writer.group(slept_series(training, parts))
        return group

    def _forget(self) -> None:
        self.inside = False
        self._loss, self._losses = 0.0, 0
        self._wait_s, self._waits, self._batch = 0.0, 0, 0
        if self._late:
            self._late = []
