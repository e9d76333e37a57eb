"""Steps of programs that step no optimizer: they change the parameters by hand, or forget to."""

from __future__ import annotations

from unbug.record.core import Core
from unbug.record.course import Course
from unbug.record.trainings import LiveTraining

__all__ = ["ImplicitSteps"]

_CYCLES = 3
"""Times that gradients were computed and cleared, and never used, before such a cycle counts as a step."""
_BY_CLEAR = "zero_grad"


class ImplicitSteps:
    """Counts a backward pass, or gradients that are cleared, as a step where nothing better does."""

    def __init__(self, core: Core, course: Course) -> None:
        self._core, self._course = core, course
        self._cycles = 0

    def backward_ended(self) -> None:
        """Backward ended in a program that has no optimizer: that is its step."""
        core = self._core
        root = core.last_root
        if root is None or not root.parameters:  # a loss module, say
            root = core.roots.last_trained()
        table = dict(root.parameters) if root is not None else {}
        size = sum(one.numel() for ref in table.values() if (one := ref()) is not None)
        self._step(core.trainings.begin_without_optimizer(table, size, counted_by="backward"))

    def cleared(self, *, in_step: bool) -> None:
        """Gradients are cleared. In a program that has an optimizer and never steps it, that ends a step."""
        core = self._core
        progress, known = core.progress, core.trainings.all
        if (
            in_step
            or not progress.open
            or not progress.micro
            or (known and known[-1].counted_by != _BY_CLEAR)
        ):
            return
        self._cycles += 1
        waiting = core.trainings.waiting()
        if known:
            self._step(core.trainings.begin_without_optimizer(known[-1].parameters, 0, counted_by=_BY_CLEAR))
        elif self._cycles >= _CYCLES and waiting:
            table = {key: ref for state in waiting for key, ref in state.parameters.items()}
            size = sum(state.size for state in waiting)
            self._step(core.trainings.begin_without_optimizer(table, size, counted_by=_BY_CLEAR))
        else:
            progress.open = False

    def _step(self, training: LiveTraining) -> None:
        """A step of a training that no optimizer steps."""
        core = self._core
        watched = core.watched_of(training)
        if core.current is not watched:
            self._course.switch(watched)
        if watched.map is None:
            self._course.name(watched)
        looks = watched.looks
        if looks is not None and looks.wants_parameters:
            looks.before_step(lambda tensor: True, training.steps, 0)
            looks.gradients(lambda tensor: True, 0)
        core.trainings.now += 1
        training.last_step = core.trainings.now
        self._course.row(watched, None, skipped=False)
