"""Between two steps: the account of the one that ended, and what is looked at in the next."""

from __future__ import annotations

from unbug.record.budget import FULL_STEPS
from unbug.record.core import Core
from unbug.record.cost import median
from unbug.record.looks import Looks
from unbug.record.watched import Watched

__all__ = ["Planner"]

_PREEMPTED = 4
"""What took more than so many times what it should was cut short by another process: not charged in full."""


_TOGETHER, _SHORT_NS = 4, 50_000_000
_ADJUST_EVERY = 8
"""Pairs of blocks between two corrections of what is spent."""


class Planner:
    """Applies the budget to the hub and to the looks of the training that runs."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._allowed = False
        self._idle = False
        self._spent_before = self._taken = self._steps = 0

    def step(self, watched: Watched, taken: int) -> None:
        """A step took `taken` nanoseconds (0 if unknown). Short, uneventful steps are accounted together."""
        self._taken += taken
        self._steps += taken > 0
        if self._idle and self._steps < _TOGETHER:
            return
        if self._steps:
            self._account(watched, self._taken, self._steps)
        self._taken = self._steps = 0
        self._plan(watched)
        core = self._core
        idle = watched.looks is not None and not watched.looks.wants_any and not core.asleep
        self._idle = idle and core.budget.median_ns < _SHORT_NS and watched.training.steps > FULL_STEPS

    def something_new(self) -> None:
        """What comes is not like what was."""
        self._idle = False

    def _account(self, watched: Watched, taken: int, steps: int) -> None:
        core = self._core
        budget, looks = core.budget, watched.looks
        spent = core.spent - self._spent_before
        chosen, core.chosen_ns = core.chosen_ns, 0
        self._spent_before = core.spent
        core.step_ns[0] += taken
        looked = looks is not None and looks.wants_any
        expected = budget.base_ns + (looks.planned_ns if looks is not None else 0.0)
        charged = (
            spent if not budget.base_ns else min(spent, int(_PREEMPTED * expected * steps) + chosen + 50_000)
        )
        budget.passed(max(taken - spent, 0), charged, steps)
        if not looked and not core.letters.partial:
            budget.lean(max(spent - chosen, 0) / steps)
        if self._allowed or budget.first_steps(watched.training.steps):
            budget.from_allowance(charged)
        else:
            pairs = len(core.blocks.ratios)
            core.blocks.step(taken, budget.median_ns, steps)
            if len(core.blocks.ratios) != pairs and len(core.blocks.ratios) % _ADJUST_EVERY == 0:
                base = budget.base_ns / budget.median_ns if budget.median_ns else 0.0
                budget.adjust(median(core.blocks.ratios[-4 * _ADJUST_EVERY :]) - 1 + base)

    def _plan(self, watched: Watched) -> None:
        """Choose what to look at in the step that comes."""
        core = self._core
        budget, looks = core.budget, watched.looks
        core.letters.next_partial = False
        if looks is None:
            return
        step = watched.training.steps
        if core.blocks.unwatched and not core.asleep_before:
            self._leave_alone(looks)
            return
        if budget.wants_full(looks.rotation, step):
            looks.plan(looks.rotation.items)
            budget.fulls += 1
            self._allowed = budget.allowance_ns > 0
        else:
            items, self._allowed = budget.plan(looks.rotation, step)
            wakes = core.hub is not None and watched.training.primary is not None
            if wakes and not items and not budget.first_steps(step):
                core.asleep = budget.sleep()
                if core.asleep:
                    core.asleep_before = True
                    self._leave_alone(looks)
                    return
            looks.plan(items)
        core.watch_forwards(True)
        core.watch_modules(looks.wants_modules)

    def woke(self, steps: int, slept_ns: int) -> None:
        """So many steps were slept through, in so much time."""
        core = self._core
        core.budget.slept(steps, slept_ns)
        core.step_ns[0] += slept_ns
        self._spent_before = core.spent
        self._taken = self._steps = 0
        self._idle = False
        core.watch_forwards(True)

    def _leave_alone(self, looks: Looks) -> None:
        """Look at nothing in the next step, and have the hub watch as little as it can."""
        core = self._core
        looks.drop()
        self._allowed = False
        core.letters.next_partial = True
        core.watch_modules(False)
        core.watch_forwards(False)
