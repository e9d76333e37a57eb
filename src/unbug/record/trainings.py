"""Which training a step belongs to: the life of one set of optimised parameters.

- An optimizer that shares a parameter with a training belongs to it: rebuilt optimizers, fine-tuning.
- A disjoint one that was made before the training's first step joins it if the two work on one computation: a
  root that owns its parameters ran with grad mode on before the training's last step, or the training's own
  modules ran, after such a root, since that step (GAN, actor and critic). What ran before the optimizer was
  made (a trial forward to print shapes) does not count.
- Any other one begins the next training: folds, sweeps, models made up front and trained in turn.

The primary optimizer has most parameters (ties: made first) and counts the steps. One that a training only
expects (it joined, and has not stepped yet) loses that place once another has stepped `PATIENCE` times.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch.optim import Optimizer

from unbug.record.roots import Owned, Root, Roots, overlap, owned, same
from unbug.types import Training

if TYPE_CHECKING:
    import torch

    from unbug.hooks import Frame
    from unbug.record.gathered import Number

__all__ = ["PATIENCE", "LiveTraining", "OptimizerState", "Trainings", "parameters_of"]

PATIENCE = 10
"""Steps of another optimizer after which a primary one that never stepped is replaced."""


def parameters_of(optimizer: Optimizer) -> list[torch.Tensor]:
    """All parameters of an optimizer, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@dataclass(slots=True, eq=False)
class OptimizerState:
    """What is known of one optimizer.

    `closure` says that it calls backward in its steps, `backwards` how many calls there had been at its last.
    Of an attempt that goes on with a run, `before` is how many steps it had made when it first stepped, None
    if that cannot be known; it was `asked` then.
    """

    ref: weakref.ref[Optimizer]
    order: int
    class_name: str
    frame: Frame | None
    parameters: Owned
    size: int
    created_at: int
    known_then: Owned | None = None
    training: LiveTraining | None = None
    steps: int = 0
    last_step: int = -1
    scaled: bool = False
    scale: float | Number = 1.0
    closure: bool = False
    backwards: int = 0
    before: int | None = None
    asked: bool = False

    def refresh(self) -> bool:
        """Take in parameter groups that were added; true if there were any."""
        optimizer = self.ref()
        if optimizer is None:
            return False
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        if count == len(self.parameters):
            return False
        parameters = parameters_of(optimizer)
        self.parameters, self.size = owned(parameters), sum(one.numel() for one in parameters)
        return True


@dataclass(slots=True, eq=False)
class LiveTraining:
    """One training. `counted_by` says what its steps are counts of."""

    number: int
    parameters: Owned
    size: int
    first_step: int
    counted_by: str = "optimizer.step"
    optimizers: list[OptimizerState] = field(default_factory=list)
    primary: OptimizerState | None = None
    steps: int = 0
    last_step: int = -1
    ended: bool = False
    roots: list[Root] = field(default_factory=list)

    def record(self) -> Training:
        """As the store keeps it."""
        names = [self.primary.class_name] if self.primary is not None else []
        names += [state.class_name for state in self.optimizers if state is not self.primary]
        return Training(
            number=self.number,
            steps=self.steps,
            optimizers=tuple(names),
            parameters=self.size,
            ended=self.ended,
            facts={"steps_counted_by": self.counted_by},
        )

    def elect(self, *, stepped_only: bool = False) -> None:
        """Choose the primary optimizer: most parameters, ties made first."""
        choice = [state for state in self.optimizers if state.steps or not stepped_only] or self.optimizers
        live = [state for state in choice if state.ref() is not None] or choice
        self.primary = min(live, key=lambda state: (-state.size, state.order), default=None)


class Trainings:
    """All trainings of this process, and the optimizers that are waiting for theirs.

    `now` is a clock that ticks at every forward with grad mode on and at every step.
    """

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.now = 0
        self.all: list[LiveTraining] = []
        self.current: LiveTraining | None = None
        self._states: dict[int, OptimizerState] = {}
        self.made = 0

    def created(self, optimizer: Optimizer, frame: Frame | None) -> OptimizerState:
        """Take note of an optimizer; its training is found at its first step."""
        parameters = parameters_of(optimizer)
        if len(self._states) >= 256:
            self._states = {key: one for key, one in self._states.items() if one.ref() is not None}
        state = OptimizerState(
            weakref.ref(optimizer),
            self.made,
            type(optimizer).__name__,
            frame,
            owned(parameters),
            sum(parameter.numel() for parameter in parameters),
            self.now,
        )
        self.made += 1
        for root in self.roots.owning(state.parameters):
            root.first_grad = root.last_grad = -1
        self._states[id(optimizer)] = state
        return state

    def state(self, optimizer: Optimizer) -> OptimizerState:
        """What is known of an optimizer, also of one whose creation nobody saw."""
        state = self._states.get(id(optimizer))
        if state is None or state.ref() is not optimizer:
            state = self.created(optimizer, None)
        return state

    def waiting(self) -> list[OptimizerState]:
        """Live optimizers that have no training yet."""
        return [one for one in self._states.values() if one.training is None and one.ref() is not None]

    def may_be_larger(self, training: LiveTraining) -> bool:
        """Whether an optimizer waits that would count this training's steps, if it joined."""
        size = training.primary.size if training.primary is not None else 0
        return any(one.size > size and one.created_at <= training.first_step for one in self.waiting())

    def optimizers_alive(self) -> int:
        """Number of optimizers there are."""
        return sum(one.ref() is not None for one in self._states.values())

    def enter(self, state: OptimizerState) -> LiveTraining:
        """The training of an optimizer that is about to step; the first step decides."""
        state.refresh()
        training = state.training
        if training is None:
            training = self._sharing(state.parameters) or self._joining(state)
            if training is None:
                training = self._begin(state.parameters, state.size)
                self._admit(training, state)
                for other in self.waiting():
                    if self._ran_before(other, self.now):
                        self._admit(training, other)
                training.elect()
            else:
                self._admit(training, state)
                self._succeed(training, state)
        self.current = training
        return training

    def begin_without_optimizer(self, parameters: Owned, size: int, *, counted_by: str) -> LiveTraining:
        """The training of a program that steps in its own way."""
        training = self._sharing(parameters)
        if training is None and not parameters and self.all and not self.all[-1].parameters:
            training = self.all[-1]  # of tensors that no module holds
        if training is None:
            training = self._begin(parameters, size)
            training.counted_by = counted_by
        self.current = training
        return training

    def stepped(self, state: OptimizerState, *, steps: int = 1) -> bool:
        """An optimizer has stepped, once or more; true if that is a step of its training."""
        training = state.training
        assert training is not None
        self.now += 1
        state.steps += steps
        training.counted_by = "optimizer.step"
        state.last_step = training.last_step = self.now
        primary = training.primary
        if primary is not state and primary is not None:
            unused = primary.steps == 0 and state.steps >= PATIENCE
            if unused or primary.ref() is None:
                training.elect(stepped_only=True)
        return training.primary is state

    def forwarded(self, root: Root) -> None:
        """A root is about to run with grad mode on."""
        self.now += 1
        root.last_grad = self.now
        if root.first_grad < 0:
            root.first_grad = self.now

    def of_root(self, root: Root) -> LiveTraining | None:
        """The training that a root's parameters belong to; None if it has none (yet)."""
        if root.training is not None:
            return self.all[root.training]
        found = self._sharing(root.parameters) if root.parameters else None
        if found is not None:
            root.training = found.number
        return found

    def _begin(self, parameters: Owned, size: int) -> LiveTraining:
        if self.current is not None:
            self.current.ended = True
        training = LiveTraining(len(self.all), dict(parameters), size, self.now)
        self.all.append(training)
        return training

    def _admit(self, training: LiveTraining, state: OptimizerState) -> None:
        state.training = training
        if state not in training.optimizers:
            training.optimizers.append(state)
        for key, reference in state.parameters.items():
            tensor = reference()
            if tensor is not None and not same(training.parameters, tensor):
                training.parameters[key] = reference
        training.size = sum(one.numel() for ref in training.parameters.values() if (one := ref()) is not None)

    def _succeed(self, training: LiveTraining, state: OptimizerState) -> None:
        """A newcomer replaces a primary one that is gone or has not stepped since the newcomer was made."""
        primary = training.primary
        idle = primary is None or primary.ref() is None or primary.last_step <= state.created_at
        if (
            primary is None
            or (idle and overlap(primary.parameters, state.parameters))
            or primary.ref() is None
        ):
            training.primary = state
        elif state.size > primary.size and training.steps <= PATIENCE and not overlap(
            primary.parameters, state.parameters
        ):  # fmt: skip
            training.primary = state
            training.steps = 0

    def _sharing(self, parameters: Owned) -> LiveTraining | None:
        for training in reversed(self.all):
            if overlap(training.parameters, parameters):
                return training
        return None

    def _joining(self, state: OptimizerState) -> LiveTraining | None:
        training = self.current
        if training is None or state.created_at > training.first_step:
            return None
        if self._ran_before(state, training.last_step):
            return training
        mine = [root.first_grad for root in self.roots.owning(state.parameters) if root.first_grad >= 0]
        theirs = [root.last_grad for root in self.roots.owning(training.parameters)]
        if mine and theirs and max(theirs) > max(training.last_step, min(mine)):
            return training
        return None

    def _ran_before(self, state: OptimizerState, moment: int) -> bool:
        owners = self.roots.owning(state.parameters)
        return any(0 <= root.first_grad <= moment for root in owners)
