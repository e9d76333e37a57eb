"""From one step of an optimizer to the next: what is looked at, and the row that says how it went."""

from __future__ import annotations

import sys
from threading import get_ident
from time import perf_counter_ns

import torch
from torch.optim import Optimizer

from unbug.record.core import Core
from unbug.record.dozing import Dozing
from unbug.record.grammar import Words, compress
from unbug.record.holding import Holding
from unbug.record.naming import Naming
from unbug.record.ownership import Ownership
from unbug.record.planning import Planner
from unbug.record.resumed import steps_made
from unbug.record.roots import Root, same
from unbug.record.rows import Later
from unbug.record.settings_seen import SettingsSeen
from unbug.record.stale import StaleGradient
from unbug.record.trainings import LiveTraining, OptimizerState
from unbug.record.watched import Watched

__all__ = ["Steps"]

_SCALER_FRAMES = 12
_MOST_CLIPS = 16
_CYCLES = 3
"""Times that gradients were computed and cleared, and never used, before such a cycle counts as a step."""
_BY_CLEAR = "zero_grad"


class Steps:
    """Follows the optimizers."""

    def __init__(self, core: Core, settings: SettingsSeen) -> None:
        self._core = core
        self._settings = settings
        self._naming = Naming(core, settings)
        self._planner = Planner(core)
        self._cycles = 0
        self._depth = 0
        self._last_end = 0
        self.dozing = Dozing(core, self.wake)
        self._holding = Holding(core.rows, core.trainings)
        self._unfinished: OptimizerState | None = None
        self.stales: tuple[StaleGradient, ...] = ()
        self._stale: dict[int, StaleGradient] = {}
        self._ownership = Ownership(core)

    @property
    def in_step(self) -> bool:
        """Whether an optimizer's step is under way: what comes now comes from its closure."""
        return self._depth > 0

    def stale_of(self, state: OptimizerState) -> StaleGradient:
        """The gradients of an optimizer between its steps."""
        found = self._stale.get(state.order)
        if found is None:
            found = self._stale[state.order] = StaleGradient()
        return found

    def begin(self, optimizer: Optimizer) -> None:
        """A step begins. One inside another (an optimizer that wraps another) is part of it."""
        self._depth += 1
        if self._depth > 1:
            return
        core = self._core
        if core.evaluating is not None and core.progress.micro:
            self._trains_in_eval(core.evaluating)
        if self._unfinished is not None:
            self._unfinished.scaled = False
            self.finish(self._unfinished, skipped=False)
        state = core.trainings.state(optimizer)
        if core.resumed and not state.steps:
            state.before, state.asked = steps_made(optimizer), True
        watched = self._enter(state)
        primary = watched.training.primary is state
        if primary:
            self.word_may_end()
        core.letters.step_begins("S" if primary else "s")
        closure = state.closure or core.progress.backwards == state.backwards
        state.backwards = core.progress.backwards
        stale = self.stale_of(state)
        if stale.in_step():
            core.progress.stale = True
        if watched.map is None and not closure:
            self._name(watched)
        looks = watched.looks
        if core.progress.clips:
            self._write_clips(watched)
        micro = max(core.progress.micro - 1, 0)
        if looks is not None and looks.wants_parameters:
            table = state.parameters
            looks.before_step(lambda tensor: same(table, tensor), watched.training.steps, micro)
            if not closure:
                looks.gradients(lambda tensor: same(table, tensor), micro, scale=_left_scale(optimizer))
        if not closure and primary:
            core.eyes.steps.before_step(watched, state, scale=_left_scale(optimizer))
            self._compare(watched)
        if state.steps < 2 and not state.scaled:
            state.scaled = _called_by_scaler()

    def _trains_in_eval(self, root: Root) -> None:
        """A step follows what looked like an evaluation: the program forgot to switch back."""
        root.trains_in_eval, self._core.evaluating = True, None
        module = root.ref()
        if module is not None:
            self._settings.mode(root, module, grad=True)

    def end(self, optimizer: Optimizer, start: int) -> None:
        """A step ended; `start` is when the recorder was told."""
        core = self._core
        core.spent_since = start
        self._end(optimizer)
        core.settle()

    def _end(self, optimizer: Optimizer) -> None:
        self._depth = max(self._depth - 1, 0)
        if self._depth:
            return
        core = self._core
        state = core.trainings.state(optimizer)
        if state.training is None:
            return
        watched = core.watched_of(state.training)
        progress = core.progress
        closure = progress.inside
        if closure:
            state.closure = True
        state.backwards = progress.backwards
        core.letters.step_ends()
        if watched.map is None:
            self._name(watched)
        looks = watched.looks
        stale = self.stale_of(state)
        if closure and stale.in_step():
            progress.stale = True
        if progress.clips:
            self._write_clips(watched)
        if looks is not None and looks.wants_parameters:
            table = state.parameters
            micro = max(progress.micro - 1, 0)
            if closure:
                looks.gradients(lambda tensor: same(table, tensor), micro)
            looks.after_step(lambda tensor: same(table, tensor), micro)
        core.eyes.steps.after_step(watched)
        if closure and watched.training.primary is state:
            self._compare(watched)
        stale.stepped(optimizer)
        if state.scaled:
            self._unfinished = state
            return
        self.finish(state, skipped=False)

    def raised(self) -> None:
        """A step raised, and did not count; what was planned for it is dropped."""
        core = self._core
        self._depth = max(self._depth - 1, 0)
        if core.asleep:
            self.dozing.raised()
        elif not self._depth:
            core.letters.step_ends()
            if core.current is not None and core.current.looks is not None:
                core.current.looks.drop()

    def scaled(self, optimizer: Optimizer, scale: float, skipped: bool, start: int) -> None:
        """GradScaler stepped, or left the optimizer alone."""
        core = self._core
        core.spent_since = start
        self._scaled(optimizer, scale, skipped)
        core.settle()

    def _scaled(self, optimizer: Optimizer, scale: float, skipped: bool) -> None:
        core = self._core
        state = core.trainings.state(optimizer)
        state.scale = scale if scale > 0 else 1.0
        if state.training is None:
            self._enter(state)
        waited = self._unfinished is state
        self._unfinished = None
        if waited or skipped:
            if not waited:
                core.letters.add(
                    "S" if state.training is not None and state.training.primary is state else "s"
                )
            self.finish(state, skipped=skipped)
        state.scaled = True

    def without_optimizer(self) -> None:
        """Backward ended in a program that has no optimizer: that is its step."""
        core = self._core
        root = core.last_root
        if root is None or not root.parameters:  # a loss module, say
            root = core.roots.last_trained()
        table = dict(root.parameters) if root is not None else {}
        size = sum(one.numel() for ref in table.values() if (one := ref()) is not None)
        self._implicit_step(core.trainings.begin_without_optimizer(table, size, counted_by="backward"))

    def _implicit_step(self, training: LiveTraining) -> None:
        """A step of a training that no optimizer steps."""
        core = self._core
        watched = core.watched_of(training)
        if core.current is not watched:
            self._switch(watched)
        if watched.map is None:
            self._name(watched)
        looks = watched.looks
        if looks is not None and looks.wants_parameters:
            looks.before_step(lambda tensor: True, training.steps, 0)
            looks.gradients(lambda tensor: True, 0)
        core.trainings.now += 1
        training.last_step = core.trainings.now
        self._row(watched, None, skipped=False)

    def finish(self, state: OptimizerState, *, skipped: bool) -> None:
        """A step is over: write its row, and plan the next."""
        core = self._core
        self._unfinished = None
        training = state.training
        assert training is not None
        watched = core.watched_of(training)
        if core.trainings.stepped(state):
            if self._holding.wanted(training):
                number = training.optimizers.index(state)
                self._holding.hold(state, watched.scalars.other_row(core.progress, state, number))
            else:
                self._holding.release()
            self._row(watched, state, skipped=skipped)
        else:
            number = training.optimizers.index(state)
            found = watched.scalars.other_row(core.progress, state, number)
            if found is not None:
                core.rows.add(*found, micro=max(core.progress.micro - 1, 0))
            core.progress.open = False

    def word_may_end(self) -> None:
        """Something that begins a step happens: the word of the step before is complete."""
        letters = self._core.letters
        if letters.complete:
            watched = self._core.current
            if watched is not None:
                step = watched.training.steps - 1
                partial, raw = letters.partial, letters.take()
                word = None if partial else watched.words.take(raw, step)
                if word is not None:
                    self._core.event(
                        "loop_order", {"order": word}, training=watched.training.number, step=step
                    )

    def something_new(self) -> None:
        """An optimizer was made: what comes is to be seen from its first forward."""
        core = self._core
        core.blocks.interrupted()
        self._planner.something_new()
        if core.asleep:
            self.wake()
        core.watch_forwards(True)

    def cleared(self) -> None:
        """Gradients are cleared. In a program that has an optimizer and never steps it, that ends a step."""
        core = self._core
        progress, known = core.progress, core.trainings.all
        if (
            self._depth
            or not progress.open
            or not progress.micro
            or (known and known[-1].counted_by != _BY_CLEAR)
        ):
            return
        self._cycles += 1
        waiting = core.trainings.waiting()
        if known:
            self._implicit_step(
                core.trainings.begin_without_optimizer(known[-1].parameters, 0, counted_by=_BY_CLEAR)
            )
        elif self._cycles >= _CYCLES and waiting:
            table = {key: ref for state in waiting for key, ref in state.parameters.items()}
            size = sum(state.size for state in waiting)
            self._implicit_step(core.trainings.begin_without_optimizer(table, size, counted_by=_BY_CLEAR))
        else:
            progress.open = False

    def clipped(self, limit: float, norm: torch.Tensor | None) -> None:
        """The program clipped: its norm is the global one, before clipping. Written at the step."""
        if norm is not None and len(self._core.progress.clips) < _MOST_CLIPS:
            value = float(norm) if norm.device.type == "cpu" else norm.detach().reshape(1).clone()
            self._core.progress.clips.append((limit, value))

    def _write_clips(self, watched: Watched) -> None:
        core = self._core
        if watched.looks is not None:
            watched.looks.clipped()
        group = core.groups.norm(watched.training.number, clipped=True)
        for limit, norm in core.progress.clips:
            values: list[float] | Later = (
                _clip_later(norm, limit) if isinstance(norm, torch.Tensor) else [norm, limit]
            )
            core.rows.add(group, values, micro=max(core.progress.micro - 1, 0))
        core.progress.clips.clear()

    def close(self) -> None:
        """No more steps come: count the last word, and tell how often each came."""
        if self._unfinished is not None:
            self.finish(self._unfinished, skipped=False)
        self._holding.release()
        self.word_may_end()
        core = self._core
        for watched in core.watched.values():
            for word, count in watched.words.counts.items():
                fields = {"order": word, "count": count, "first_step": watched.words.first_seen[word]}
                core.event(
                    "loop_order", fields, training=watched.training.number, step=watched.training.steps - 1
                )
        rest = core.letters.take()
        if rest:
            core.event("loop_order", {"order": compress(rest), "count": 1, "unfinished": True})

    def _row(self, watched: Watched, state: OptimizerState | None, *, skipped: bool) -> None:
        core = self._core
        training, progress = watched.training, core.progress
        now = perf_counter_ns()
        time_s = (now - self._last_end) / 1e9 if self._last_end else None
        group, values = watched.scalars.row(progress, state, time_s=time_s, skipped=skipped)
        core.rows.add(group, values, micro=0)
        step = training.steps
        if not self._holding.ended():
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

    def _compare(self, watched: Watched) -> None:
        """Hold the parameters of the modules against those of the optimizers, now and then."""
        changed = self._ownership.changed(watched)
        if changed:
            self._name(watched)
        self._ownership.look(watched, changed=changed)

    def sleeps_through(self, optimizer: Optimizer) -> bool:
        """Whether a step that begins is slept through: not one of another training."""
        core = self._core
        state = core.trainings.state(optimizer)
        if core.current is not None and state.training is core.current.training:
            self.dozing.inside = True
            return True
        self.wake()
        return False

    def sleep_on(self, optimizer: Optimizer, *, scale: float | None = None, skipped: bool = False) -> None:
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
            state.scale = scale if scale > 0 else 1.0
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

    def _enter(self, state: OptimizerState) -> Watched:
        core = self._core
        training = core.trainings.enter(state)
        if self._holding.release(training):
            core.watched_of(training).words = Words()
        watched = core.watched_of(training)
        if core.current is not watched:
            self._switch(watched)
        return watched

    def _switch(self, watched: Watched) -> None:
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

    def _name(self, watched: Watched) -> None:
        self._naming.name(watched)
        self.stales = tuple(self.stale_of(state) for state in watched.training.optimizers)


def _clip_later(norm: torch.Tensor, limit: float) -> Later:
    return Later(norm, lambda got: [got[0], limit])


def _left_scale(optimizer: Optimizer) -> float:
    """What gradients are still to be multiplied with: a fused optimizer unscales by itself."""
    scale = getattr(optimizer, "grad_scale", None)
    if isinstance(scale, torch.Tensor) and scale.device.type == "cpu" and scale.numel() == 1:
        return 1.0 / float(scale)
    return 1.0


def _called_by_scaler() -> bool:
    """Whether GradScaler makes this step: its scale is told when it is done, and is needed for the loss."""
    frame = sys._getframe(1)
    for _ in range(_SCALER_FRAMES):
        if frame.f_code.co_name == "_maybe_opt_step":
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False
