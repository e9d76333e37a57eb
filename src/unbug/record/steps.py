"""From one step of an optimizer to the next: what is looked at, and the row that says how it went."""

from __future__ import annotations

from torch.optim import Optimizer

from unbug.record.clips import Clips
from unbug.record.core import Core
from unbug.record.course import Course
from unbug.record.gathered import Number
from unbug.record.grammar import compress
from unbug.record.ownership import Ownership
from unbug.record.resumed import steps_made
from unbug.record.roots import Root, same
from unbug.record.scaling import called_by_scaler, left_scale
from unbug.record.settings_seen import SettingsSeen
from unbug.record.trainings import OptimizerState
from unbug.record.watched import Watched

__all__ = ["Steps"]


class Steps:
    """Follows the optimizers."""

    def __init__(self, core: Core, settings: SettingsSeen, course: Course) -> None:
        self._core = core
        self._settings = settings
        self._depth = 0
        self._unfinished: OptimizerState | None = None
        self.course = course
        self.clips = Clips(core)
        self._ownership = Ownership(core)

    @property
    def in_step(self) -> bool:
        """Whether an optimizer's step is under way: what comes now comes from its closure."""
        return self._depth > 0

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
        watched = self.course.enter(state)
        primary = watched.training.primary is state
        if primary:
            self.word_may_end()
        core.letters.step_begins("S" if primary else "s")
        closure = state.closure or core.progress.backwards == state.backwards
        state.backwards = core.progress.backwards
        stale = self.course.stale_of(state)
        if stale.in_step():
            core.progress.stale = True
        if watched.map is None and not closure:
            self.course.name(watched)
        elif not state.steps:  # it took over, or joined
            self._settings.optimizer(state, watched)
        looks = watched.looks
        self.clips.write(watched)
        micro = max(core.progress.micro - 1, 0)
        if looks is not None and looks.wants_parameters:
            table = state.parameters
            looks.before_step(lambda tensor: same(table, tensor), watched.training.steps, micro)
            if not closure:
                looks.gradients(lambda tensor: same(table, tensor), micro, scale=left_scale(optimizer))
        if not closure and primary:
            core.eyes.steps.before_step(watched, state, scale=left_scale(optimizer))
            self._compare(watched, state)
        if state.steps < 2 and not state.scaled:
            state.scaled = called_by_scaler()

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
            self.course.name(watched)
        looks = watched.looks
        stale = self.course.stale_of(state)
        if closure and stale.in_step():
            progress.stale = True
        self.clips.write(watched)
        if looks is not None and looks.wants_parameters:
            table = state.parameters
            micro = max(progress.micro - 1, 0)
            if closure:
                looks.gradients(lambda tensor: same(table, tensor), micro)
            looks.after_step(lambda tensor: same(table, tensor), micro)
        core.eyes.steps.after_step(watched)
        if closure and watched.training.primary is state:
            self._compare(watched, state)
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
            self.course.dozing.raised()
        elif not self._depth:
            core.letters.step_ends()
            if core.current is not None and core.current.looks is not None:
                core.current.looks.drop()

    def scaled(self, optimizer: Optimizer, scale: float | Number, skipped: bool, start: int) -> None:
        """GradScaler stepped, or left the optimizer alone."""
        core = self._core
        core.spent_since = start
        self._scaled(optimizer, scale, skipped)
        core.settle()

    def _scaled(self, optimizer: Optimizer, scale: float | Number, skipped: bool) -> None:
        core = self._core
        state = core.trainings.state(optimizer)
        state.scale = scale
        if state.training is None:
            self.course.enter(state)
        waited = self._unfinished is state
        self._unfinished = None
        if waited or skipped:
            if not waited:
                core.letters.add(
                    "S" if state.training is not None and state.training.primary is state else "s"
                )
            self.finish(state, skipped=skipped)
        state.scaled = True

    def finish(self, state: OptimizerState, *, skipped: bool) -> None:
        """A step is over: write its row, and plan the next."""
        core = self._core
        self._unfinished = None
        training = state.training
        assert training is not None
        watched = core.watched_of(training)
        if core.trainings.stepped(state):
            if self.course.holding.wanted(training):
                number = training.optimizers.index(state)
                self.course.holding.hold(state, watched.scalars.other_row(core.progress, state, number))
            else:
                self.course.holding.release()
            self.course.row(watched, state, skipped=skipped)
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

    def close(self) -> None:
        """No more steps come: count the last word, and tell how often each came."""
        if self._unfinished is not None:
            self.finish(self._unfinished, skipped=False)
        self.course.holding.release()
        self.course.dozing.drain()
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

    def _compare(self, watched: Watched, state: OptimizerState) -> None:
        """Hold the parameters of the modules against those of the optimizers, now and then."""
        changed = self._ownership.changed(watched)
        if changed:
            self.course.name(watched)
        self._ownership.look(watched, state, changed=changed)
