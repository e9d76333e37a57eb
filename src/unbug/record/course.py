"""The training that goes on: it is entered, named, slept through, and given a row for each step."""

from __future__ import annotations

from threading import get_ident
from time import perf_counter_ns

from torch.optim import Optimizer

from unbug.record.core import Core
from unbug.record.dozing import Dozing
from unbug.record.gathered import Number
from unbug.record.grammar import Words
from unbug.record.holding import Holding
from unbug.record.naming import Naming
from unbug.record.planning import Planner
from unbug.record.settings_seen import SettingsSeen
from unbug.record.stale import StaleGradient
from unbug.record.trainings import OptimizerState
from unbug.record.watched import Watched

__all__ = ["Course"]


class Course:
    """What goes on from one step to the next, whoever makes the step.

    `stales` are the gradients of the optimizers of the training that goes on.
    """

    def __init__(self, core: Core, settings: SettingsSeen) -> None:
        self._core = core
        self._naming = Naming(core, settings)
        self._planner = Planner(core)
        self._last_end = 0
        self._stale: dict[int, StaleGradient] = {}
        self.stales: tuple[StaleGradient, ...] = ()
        self.dozing = Dozing(core, self.wake)
        self.holding = Holding(core.rows, core.trainings)

    def stale_of(self, state: OptimizerState) -> StaleGradient:
        """The gradients of an optimizer between its steps."""
        found = self._stale.get(state.order)
        if found is None:
            found = self._stale[state.order] = StaleGradient(self._core.rows.gathered)
        return found

    def enter(self, state: OptimizerState) -> Watched:
        """An optimizer steps: its training is the one that goes on."""
        core = self._core
        training = core.trainings.enter(state)
        if self.holding.release(training):
            core.watched_of(training).words = Words()
        watched = core.watched_of(training)
        if core.current is not watched:
            self.switch(watched)
        return watched

    def switch(self, watched: Watched) -> None:
        """Another training goes on, or begins."""
        core = self._core
        before = core.current
        if before is not None:
            core.writer.training(before.training.record())
            if before.looks is not None:
                before.looks.drop()
        core.current = watched
        self._planner.something_new()
        watched.training.ended = False
        core.writer.training(watched.training.record())
        self.stales = tuple(self.stale_of(state) for state in watched.training.optimizers)

    def name(self, watched: Watched) -> None:
        """Give its modules and parameters their names, and begin to look."""
        self._naming.name(watched)
        self.stales = tuple(self.stale_of(state) for state in watched.training.optimizers)

    def row(self, watched: Watched, state: OptimizerState | None, *, skipped: bool) -> None:
        """A step is over: write what is known of it, and plan the next."""
        core = self._core
        training, progress = watched.training, core.progress
        now = perf_counter_ns()
        time_s = (now - self._last_end) / 1e9 if self._last_end else None
        group, values = watched.scalars.row(progress, state, time_s=time_s, skipped=skipped)
        core.rows.add(group, values, micro=0)
        step = training.steps
        if not self.holding.ended():
            core.rows.flush(training.number, step)
        training.steps = step + 1
        core.letters.complete = True
        progress.open = False
        progress.step_over()
        taken = now - self._last_end if self._last_end else 0
        self._last_end = now
        self._planner.step(watched, taken)
        if core.asleep:
            core.doze(self.dozing, short_cut=self.dozing.begin(now, training, get_ident()))

    def something_new(self) -> None:
        """What comes is to be seen from its first forward."""
        core = self._core
        core.blocks.interrupted()
        self._planner.something_new()
        if core.asleep:
            self.wake()
        core.watch_forwards(True)

    def sleeps_through(self, optimizer: Optimizer) -> bool:
        """Whether a step that begins is slept through: not one of another training."""
        core = self._core
        state = core.trainings.state(optimizer)
        if core.current is not None and state.training is core.current.training:
            self.dozing.inside = True
            return True
        self.wake()
        return False

    def sleep_on(
        self, optimizer: Optimizer, *, scale: float | Number | None = None, skipped: bool = False
    ) -> None:
        """A step ended that is slept through: keep its loss, and wake up in time for the next.

        Args:
            scale: What GradScaler had multiplied the loss with; it tells after the step.
        """
        core = self._core
        state = core.trainings.state(optimizer)
        training = state.training
        if training is None or (scale is None and state.scaled):
            return
        if scale is not None:
            state.scale = scale
        self.dozing.told_step(training, state, skipped=skipped)

    def wake(self) -> None:
        """Watch again, from the step that begins now."""
        core = self._core
        core.asleep = 0
        core.doze(None)
        slept = self.dozing.end()
        now = perf_counter_ns()
        self._planner.woke(slept, now - self._last_end)
        core.slept += slept
        self._last_end = now
        core.letters.wake()
        core.progress.open = False
        core.progress.step_over()
        if core.current is not None:
            for state in core.current.training.optimizers:
                optimizer = state.ref()
                state.backwards = core.progress.backwards - 1
                if optimizer is not None:
                    self.stale_of(state).stepped(optimizer)
