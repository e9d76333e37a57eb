"""The hub's listener: knows which training, step and place each call belongs to, and has it written.

Every method runs in the thread where things happen. Each adds the time that it took to `spent`, which the
budget takes off. Nothing of the program's is kept alive, but what probes at the end work with (`kept`).
"""

from __future__ import annotations

import random as random_module
import time
import traceback
from collections.abc import Callable
from threading import get_ident
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from unbug.record.core import Core
from unbug.record.course import Course
from unbug.record.coverage import coverage_of
from unbug.record.forwards import Forwards
from unbug.record.implicit import ImplicitSteps
from unbug.record.kept_batches import KeptBatches
from unbug.record.latescale import LateScales
from unbug.record.losses import Losses
from unbug.record.parents import parameters_now
from unbug.record.refs import swapped, swapping
from unbug.record.resumed import resumed_from
from unbug.record.settings_seen import SettingsSeen
from unbug.record.steps import Steps
from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.hooks import Frame, Hub, LossCall
    from unbug.store import Writer

__all__ = ["Recorder"]

_MOST_SNAPSHOTS = 4
_MOST_PENDING = 1024


class Recorder:
    """Records what a hub tells.

    Args:
        writer: Where rows and events go.
        budget: Share of the program's own time that may be spent on looking.
        every: Look at everything every so many steps, whatever it costs; None for by budget alone.
        clock_ns: Monotonic; stamps rows and events.
        resumed: This process goes on with a run: `resumed_from` will be asked.
        random: Chooses the steps that are left unwatched to measure the true cost; never the program's.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        budget: float = 0.02,
        every: int | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        resumed: bool = False,
        random: random_module.Random | None = None,
    ) -> None:
        self._core = Core(
            writer, budget=budget, every=every, clock_ns=clock_ns, random=random or random_module.Random()
        )
        self._core.resumed = resumed
        self._settings = SettingsSeen(self._core)
        self._course = Course(self._core, self._settings)
        self._steps = Steps(self._core, self._settings, self._course)
        self._scales = LateScales(self._core, self._settings)
        self._implicit = ImplicitSteps(self._core, self._course)
        self._losses = Losses(self._core)
        self._forwards = Forwards(self._core, self._settings, self._steps)
        # Called thousands of times a second: nothing stands between the hub and these.
        self.root_forward = self._forwards.root_forward
        self.root_output = self._forwards.root_output
        self.module_output = self._forwards.module_output
        self.batch_end = self._forwards.batch_end
        self._snapshots = 0
        self._gradient_calls = 0
        self._backward_seen = False
        self._closed = False

    # For the session.
    def bind(self, hub: Hub) -> None:
        """Let the recorder switch the watching of modules on and off."""
        self._core.hub = hub

    def watch(
        self, model: torch.nn.Module, optimizer: Optimizer | None = None, *, name: str | None = None
    ) -> None:
        """Declare a model whose paths begin at it, under a name of the user's; and an optimizer."""
        core = self._core
        if name is not None:
            core.given_names[id(model)] = name
        if core.roots.get(model) is None:
            core.roots.add(model)
        if optimizer is not None:
            core.trainings.state(optimizer)

    @property
    def kept(self) -> KeptBatches:
        """The batches and models that probes work on."""
        return self._core.eyes.kept

    def position(self) -> tuple[int, int, int, int]:
        """Training, step, micro and phase of what happens now. After a step it is still that step."""
        return self._core.position()

    def resumed_from(self, training: int) -> int | None:
        """Steps made in earlier attempts, as the training's optimizer counts them; None if it does not."""
        return resumed_from(self._core.trainings, training)

    def coverage(self) -> dict[str, Any]:
        """What was recorded how often, at what cost, and what could not be seen."""
        return coverage_of(
            self._core, self._settings.compiled, self._losses.not_followed, self._gradient_calls
        )

    def close(self) -> None:
        """Write what is pending and the last events. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._steps.close()
        core = self._core
        number, step, _, _ = core.position()
        core.rows.flush(number, step)
        core.rows.poll(wait=True)
        self._scales.tell()
        self._losses.close()
        self._settings.close()
        core.eyes.close()
        for watched in core.watched.values():
            watched.training.ended = True
            core.writer.training(watched.training.record())

    # What the hub tells. What modules are given and give: see `Forwards`.
    # Backward.
    def backward_begin(self, tensors: tuple[torch.Tensor, ...], frame: Frame | None) -> None:
        if self._core.eyes.kept.waits:
            self._core.eyes.kept.backward()
        if self._core.asleep:
            self._course.dozing.told_backward(tensors)
            return
        start = perf_counter_ns()
        core = self._core
        progress = core.progress
        self._backward_seen = True
        self._steps.word_may_end()
        core.letters.add("B")
        core.phase = Phase.TRAIN
        if not progress.open:
            progress.begin_window()
        progress.backward(tensors, in_step=self._steps.in_step)
        core.eyes.steps.backward(tensors)
        core.eyes.backward(tensors)
        for stale in self._course.stales:
            stale.backward_begins()
        core.spent += perf_counter_ns() - start

    def backward_end(self, raised: bool) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        for stale in self._course.stales:
            stale.backward_ended()
        if not self._core.trainings.made and not raised:
            self._implicit.backward_ended()
        self._core.eyes.steps.backward_ended()
        self._core.spent += perf_counter_ns() - start

    def autograd_grad(self, outputs: tuple[torch.Tensor, ...], frame: Frame | None) -> None:
        start = perf_counter_ns()
        core = self._core
        self._gradient_calls += 1
        core.eyes.backward(outputs)
        if core.trainings.made:
            if core.progress.micro == 0 and core.progress.open and not core.progress.losses:
                core.progress.take(outputs)
        elif not self._backward_seen and sum(one.numel() for one in outputs) == 1:
            self._steps.word_may_end()
            core.letters.add("B")
            if not core.progress.open:
                core.progress.begin_window()
            core.progress.backward(outputs, in_step=False)
            self._implicit.backward_ended()
        core.spent += perf_counter_ns() - start

    # Optimizers.
    def optimizer_created(self, optimizer: Optimizer, frame: Frame | None) -> None:
        start = perf_counter_ns()
        core = self._core
        self._forwards.thread = get_ident()
        state = core.trainings.created(optimizer, frame)
        self._course.something_new()
        if self._snapshots < _MOST_SNAPSHOTS:
            self._snapshots += 1
            state.known_then = parameters_now()
        core.setup_ns += perf_counter_ns() - start

    def step_begin(self, optimizer: Optimizer) -> None:
        if self._core.asleep and self._course.sleeps_through(optimizer):
            return
        start = perf_counter_ns()
        self._steps.begin(optimizer)
        self._core.spent += perf_counter_ns() - start

    def step_end(self, optimizer: Optimizer) -> None:
        if self._core.asleep:
            self._course.sleep_on(optimizer)
            return
        self._steps.end(optimizer, perf_counter_ns())

    def step_raised(self, optimizer: Optimizer) -> None:
        start = perf_counter_ns()
        self._steps.raised()
        self._core.spent += perf_counter_ns() - start

    def zero_grad(self, target: Optimizer | torch.nn.Module) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        core = self._core
        letter = "Z"
        self._implicit.cleared(in_step=self._steps.in_step)
        self._steps.word_may_end()
        if isinstance(target, Optimizer):
            state = core.trainings.state(target)
            self._course.stale_of(state).cleared()
            if state.training is not None and state.training.primary is not state:
                letter = "z"
        core.letters.add(letter)
        core.spent += perf_counter_ns() - start

    def clip(self, kind: str, limit: float, norm: torch.Tensor | None, frame: Frame | None) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        self._core.letters.add("C")
        self._steps.clips.take(limit, norm)
        self._core.spent += perf_counter_ns() - start

    def scheduler_step(self, scheduler: Any) -> None:
        if not self._core.asleep:
            start = perf_counter_ns()
            self._core.letters.add("L")
            self._core.eyes.steps.scheduled(scheduler)
            self._core.spent += perf_counter_ns() - start

    def scaler_step(self, optimizer: Optimizer, scale: float | torch.Tensor, skipped: bool) -> None:
        if self._core.asleep:
            self._course.sleep_on(optimizer, scale=self._scales.take(scale, skipped), skipped=skipped)
            return
        start = perf_counter_ns()
        self._steps.scaled(optimizer, self._scales.take(scale, skipped), skipped, start)

    # Losses and data.
    def loss_call(self, call: LossCall) -> None:
        if self._core.asleep and torch.is_grad_enabled():
            return
        start = perf_counter_ns()
        if get_ident() != self._forwards.thread:
            return
        core = self._core
        self._losses.call(call)
        if core.eyes.steps.wants_losses:
            core.eyes.steps.loss(call)
        if core.eyes.kept.waits:
            core.eyes.lost(call)
        if len(core.rows) > _MOST_PENDING:
            number, step, _, _ = core.position()
            core.rows.flush(number, step)
        core.spent += perf_counter_ns() - start

    def batch_begin(self, loader: Any) -> None:
        return

    # The process.
    def seeded(self, generator: str, seed: int | None) -> None:
        self._settings.seeded(generator, seed)

    def swapping(self, tensors: tuple[torch.Tensor, ...]) -> None:
        swapping(tensors)

    def swapped(self, tensors: tuple[torch.Tensor, ...]) -> None:
        swapped(tensors)

    def compiled(self, what: str) -> None:
        self._settings.compile(what)

    def fault(self, where: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error, limit=-20))
        self._core.event("fault", {"where": where, "error": text, "traceback": trace})
        self._core.faults.append(f"{where}: {type(error).__name__}: {error}")
