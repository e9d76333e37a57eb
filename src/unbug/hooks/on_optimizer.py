"""Optimizers are created, step, and what belongs to a step: zeroing, clipping, scaling, scheduling."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import torch

from unbug.hooks.frames import user_frame
from unbug.hooks.shims import blocked, unwatched
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED
from unbug.hooks.telling import Teller

__all__ = ["innermost", "optimizer_taps", "subclasses"]

_GUARD = "tracing, transforms"


def optimizer_taps(teller: Teller) -> list[Spec]:
    """What `torch.optim`, `torch.amp` and `torch.nn.utils` do to parameters."""
    return [*_steps(teller), *_zeroing(teller), *_clipping(teller), *_scaling(teller), *_scheduling(teller)]


def innermost(function: Any) -> FunctionType:
    """What the decorators around it end in."""
    function = getattr(function, "__func__", function)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if not isinstance(function, FunctionType):
        raise TypeError(f"it is a {type(function).__name__}, not written in Python")
    return function


def subclasses(kind: type) -> Iterator[type]:
    """The class and all that derive from it, each once."""
    seen: set[type] = {kind}
    waiting: list[type] = [kind]
    while waiting:
        known = waiting.pop()
        yield known
        derived: type
        for derived in type.__subclasses__(known):
            if derived not in seen:
                seen.add(derived)
                waiting.append(derived)


def _enter_nothing() -> bool:
    return True


def _steps(teller: Teller) -> list[Spec]:
    here, tell = teller.here, teller.tell

    def enter_step(args: tuple[Any, ...]) -> Any:
        nap = teller.nap
        if nap is not None and args and not here.busy:
            try:
                if nap.begins(args[0]):
                    return args[0]
            except Exception as error:
                teller.nap_failed(error)
        here.stepped = True
        if not args or here.busy or blocked():
            return None
        try:
            tell("step_begin", args[0])
        except BaseException:  # an interrupt; the step does not happen
            tell("step_raised", args[0])
            raise
        return args[0]

    def leave_step(optimizer: Any, value: Any) -> None:
        if optimizer is None:
            return
        nap = teller.nap
        if nap is not None and value is not RAISED and not here.busy:
            try:
                if nap.stepped(optimizer):
                    return
            except Exception as error:
                teller.nap_failed(error)
        try:
            tell("step_end" if value is not RAISED else "step_raised", optimizer)
        except BaseException:
            tell("step_raised", optimizer)
            raise

    def leave_init(token: Any, value: Any, self: Any) -> None:
        if value is not RAISED and not teller.quiet():
            tell("optimizer_created", self, user_frame(2))

    def existing() -> list[Any]:
        """The wrappers that are in classes already: torch puts one there when a class is first used."""
        found = []
        for kind in subclasses(torch.optim.Optimizer):
            step = vars(kind).get("step")
            while step is not None:
                found.append(step)
                step = getattr(step, "__wrapped__", None)
        return found

    return [
        Spec(
            name="torch.optim.Optimizer.profile_hook_step",
            what="begin and end of every optimizer's step",
            guard=_GUARD,
            enter=enter_step,
            leave=leave_step,
            enter_names=("args",),
            inner="wrapper",
            existing=existing,
        ),
        Spec(
            name="torch.optim.Optimizer.__init__",
            what="new optimizers",
            guard=_GUARD,
            enter=_enter_nothing,
            leave=leave_init,
            leave_names=("self",),
        ),
    ]


def _zeroing(teller: Teller) -> list[Spec]:
    def leave(token: Any, value: Any, self: Any) -> None:
        if value is not RAISED and not teller.dozing and not teller.quiet():
            teller.tell("zero_grad", self)

    return [
        Spec(
            name=f"{name}.zero_grad",
            what="gradients were reset",
            guard=_GUARD,
            enter=_enter_nothing,
            leave=leave,
            leave_names=("self",),
        )
        for name in ("torch.optim.Optimizer", "torch.nn.Module")
    ]


def _clipping(teller: Teller) -> list[Spec]:
    here = teller.here

    def enter() -> int:
        depth = here.clip
        here.clip = depth + 1
        return depth

    def told(depth: int | None, value: Any) -> bool:
        if depth is None:
            return False
        here.clip = depth
        return not (depth or value is RAISED or teller.dozing or teller.quiet())

    def leave_norm(depth: int | None, value: Any, max_norm: Any) -> None:
        if told(depth, value):
            norm = value if isinstance(value, torch.Tensor) else None
            teller.tell("clip", "norm", _number(max_norm), norm, user_frame(2))

    def leave_with_norm(depth: int | None, value: Any, max_norm: Any, total_norm: Any) -> None:
        if told(depth, value):
            norm = total_norm if isinstance(total_norm, torch.Tensor) else None
            teller.tell("clip", "norm", _number(max_norm), norm, user_frame(2))

    def leave_value(depth: int | None, value: Any, clip_value: Any) -> None:
        if told(depth, value):
            teller.tell("clip", "value", _number(clip_value), None, user_frame(2))

    at, what = "torch.nn.utils.clip_grad", "clipping: its limit, and the norm that it computed"
    return [
        Spec(name=f"{at}.clip_grad_norm_", what=what, guard=_GUARD, enter=enter, leave=leave_norm,
             leave_names=("max_norm",)),
        Spec(name=f"{at}._clip_grads_with_norm_", what=what, guard=_GUARD, enter=enter, leave=leave_with_norm,
             leave_names=("max_norm", "total_norm")),
        Spec(name=f"{at}.clip_grad_value_", what="clipping by value: its limit", guard=_GUARD, enter=enter,
             leave=leave_value, leave_names=("clip_value",)),
    ]  # fmt: skip


def _number(value: Any) -> float:
    """A limit as a number, NaN if reading it would wait for a device."""
    with unwatched():
        if isinstance(value, torch.Tensor) and value.device.type != "cpu":
            return math.nan
        return float(value)


def _scaling(teller: Teller) -> list[Spec]:
    here = teller.here

    def enter(self: Any, optimizer: Any) -> tuple[int, bool, float | torch.Tensor] | None:
        if not self._enabled:
            return None
        depth = here.scaler
        token = depth, here.stepped, math.nan if here.busy else _scale(self)
        here.scaler = depth + 1
        here.stepped = False
        return token

    def leave(
        token: tuple[int, bool, float | torch.Tensor] | None, value: Any, self: Any, optimizer: Any
    ) -> None:
        if token is None:
            return
        stepped = here.stepped
        here.scaler, before, scale = token
        here.stepped = before or stepped
        if here.scaler == 0 and value is not RAISED and not teller.quiet():
            teller.tell("scaler_step", optimizer, scale, not stepped or _found_bad(self, optimizer))

    return [
        Spec(
            name="torch.amp.GradScaler.step",
            what="scaled steps: the scale, and whether the step was skipped",
            guard=f"{_GUARD}, disabled scalers",
            enter=enter,
            leave=leave,
            enter_names=("self", "optimizer"),
            leave_names=("self", "optimizer"),
        )
    ]


def _scale(scaler: Any) -> float | torch.Tensor:
    """The scale; a copy of it where it lies on a device, since the scaler is about to change it."""
    scale = getattr(scaler, "_scale", None)
    if scale is None:
        return float(getattr(scaler, "_init_scale", math.nan))
    with unwatched():
        if not isinstance(scale, torch.Tensor) or scale.is_cpu:
            return float(scale)
        with torch.no_grad():
            return scale.detach().clone()


def _found_bad(scaler: Any, optimizer: Any) -> bool:
    """Whether a fused optimizer, which looks by itself, was told to skip; not asked if that means waiting."""
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        return False
    found = scaler._per_optimizer_states[id(optimizer)]["found_inf_per_device"].values()
    with unwatched():
        return any(bool(flag) for flag in found if flag.device.type == "cpu")


def _scheduling(teller: Teller) -> list[Spec]:
    here = teller.here

    def enter() -> int:
        depth = here.scheduler
        here.scheduler = depth + 1
        return depth

    def leave(depth: int | None, value: Any, self: Any) -> None:
        if depth is None:
            return
        here.scheduler = depth
        if not (depth or value is RAISED or teller.dozing or teller.quiet()):
            teller.tell("scheduler_step", self)

    def leave_initial(depth: int | None, value: Any) -> None:
        if depth is not None:
            here.scheduler = depth

    module = torch.optim.lr_scheduler
    owners = [kind for kind in subclasses(module.LRScheduler) if inspect.isfunction(vars(kind).get("step"))]
    specs = [
        Spec(
            name=f"torch.optim.lr_scheduler.{kind.__qualname__}.step",
            what="outermost scheduler steps, but for the one that a constructor makes",
            guard=_GUARD,
            enter=enter,
            leave=leave,
            leave_names=("self",),
        )
        for kind in owners
        if kind.__module__ == module.__name__
    ]
    initial = Spec(
        name="torch.optim.lr_scheduler.LRScheduler._initial_step",
        what="that a scheduler's constructor steps it: not told",
        guard=_GUARD,
        enter=enter,
        leave=leave_initial,
    )
    return [*specs, initial]
