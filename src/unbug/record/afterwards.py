"""What is looked at when backward has ended: gradients that are mended, optimizers that are never stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbug.record.idle import IdleOptimizers
from unbug.record.idle import is_due as is_idle_due
from unbug.record.masked import Masked
from unbug.record.masked import is_due as is_masking_due

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.sight import Sight
    from unbug.record.trainings import OptimizerState
    from unbug.record.watched import Watched

__all__ = ["Afterwards"]


class Afterwards:
    """Has them look in the steps in which that is due."""

    def __init__(self, core: Core, sight: Sight) -> None:
        self._sight = sight
        self._masked, self._idle = Masked(core), IdleOptimizers(core)

    def backward_ended(self, watched: Watched) -> None:
        """Gradients are as backward made them."""
        step = watched.training.steps
        if is_masking_due(step):
            self._sight.safely("masked", lambda: self._masked.backward_ended(watched))
        if is_idle_due(step):
            self._sight.safely("idle optimizers", lambda: self._idle.look(watched))

    def before_step(self, watched: Watched, state: OptimizerState) -> None:
        """The primary optimizer is about to use them."""
        if is_masking_due(watched.training.steps):
            self._sight.safely("masked", lambda: self._masked.before_step(watched, state))

    def close(self) -> None:
        """No more steps come."""
        self._sight.safely("idle optimizers", self._idle.close)
