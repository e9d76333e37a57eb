"""Rows of a training's first steps, kept back while a larger optimizer may still join and count them anew.

A discriminator that steps before its generator ever ran with grad mode on would else be counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from unbug.record.rows import Later, Rows
from unbug.record.trainings import PATIENCE, LiveTraining, OptimizerState, Trainings

__all__ = ["Holding"]


@dataclass(slots=True)
class _Held:
    """A step's row.

    `at` is its index among those pending, `other` what it becomes if the step does not count.
    `rows` is the number of rows pending when the step was over.
    """

    other: tuple[int, list[float] | Later] | None
    at: int
    rows: int = 0


class Holding:
    """At most `PATIENCE` steps of one optimizer."""

    def __init__(self, rows: Rows, trainings: Trainings) -> None:
        self._rows, self._trainings = rows, trainings
        self._held: list[_Held] = []
        self._training: LiveTraining | None = None
        self._state: OptimizerState | None = None

    def wanted(self, training: LiveTraining) -> bool:
        """Whether the step that ends may turn out not to count."""
        if training.steps != len(self._held) or training.steps >= PATIENCE:
            return False
        return self._trainings.may_be_larger(training)

    def hold(self, state: OptimizerState, other: tuple[int, list[float] | Later] | None) -> None:
        """The next row is that of such a step; it becomes `other` if the step does not count."""
        self._training, self._state = state.training, state
        self._held.append(_Held(other, at=len(self._rows)))

    def ended(self) -> bool:
        """The step is over; true if its rows are to stay pending."""
        if self._held:
            self._held[-1].rows = len(self._rows)
        return bool(self._held)

    def release(self, training: LiveTraining | None = None) -> bool:
        """A step of `training` begins (or none comes): write what is held, if it is known who counts.

        Returns:
            Whether a newcomer counts, so that the steps so far were another optimizer's.
        """
        if not self._held or self._training is None:
            return False
        if training is self._training and training.primary is self._state:
            return False
        held, self._held = self._held, []
        number = self._training.number
        if training is self._training:
            gone = 0
            for one in held:
                self._rows.replace(one.at - gone, one.other)
                gone += one.other is None
            self._rows.flush(number, 0, only=held[-1].rows - gone)
            return True
        done = 0
        for step, one in enumerate(held):
            self._rows.flush(number, step, only=one.rows - done)
            done = one.rows
        return False
