"""How often a look that nothing plans may be taken: always at first, then as its share of the time pays."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbug.record.core import Core

__all__ = ["Credit"]

_SHARE, _MOST_TURNS = 0.1, 20


class Credit:
    """The account of one kind of look.

    Args:
        first: Looks that are taken whatever they cost; and all while the allowance of the first steps lasts.
    """

    __slots__ = ("_core", "_cost_ns", "_credit_ns", "_first", "_last_ns", "looks")

    def __init__(self, core: Core, *, first: int = 20) -> None:
        self._core, self._first = core, first
        self._cost_ns, self._credit_ns = 100_000.0, 0.0
        self._last_ns = 0
        self.looks = 0

    def due(self) -> bool:
        """Whether a look may be taken now."""
        core, now = self._core, perf_counter_ns()
        budget = core.budget
        if self._last_ns:
            self._credit_ns += (now - self._last_ns) * budget.share * budget.factor * _SHARE
            self._credit_ns = min(self._credit_ns, _MOST_TURNS * self._cost_ns)
        self._last_ns = now
        current = core.current
        early = current is not None and budget.first_steps(current.training.steps)
        return self.looks < self._first or early or self._credit_ns >= self._cost_ns

    def paid(self, spent_ns: float) -> None:
        """A look was taken."""
        self.looks += 1
        self._credit_ns -= spent_ns
        self._cost_ns += (min(spent_ns, 4 * self._cost_ns) - self._cost_ns) * 0.3
        self._core.chosen_ns += int(spent_ns)
