"""Gradients are computed."""

from __future__ import annotations

from typing import Any

import torch

from unbug.hooks.frames import user_frame
from unbug.hooks.shims import blocked, in_backward, undisturbed
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED
from unbug.hooks.telling import Teller

__all__ = ["backward_taps"]

_GUARD = "tracing, transforms, calls inside another backward (reentrant checkpointing)"


def backward_taps(teller: Teller) -> list[Spec]:
    """`torch.autograd.backward`, which `Tensor.backward` calls, and `torch.autograd.grad`."""
    here, tell = teller.here, teller.tell

    def outermost() -> bool:
        return not (here.backward or here.busy or in_backward() or blocked())

    napping = False

    def enter_backward(tensors: Any) -> tuple[int, bool] | None:
        nonlocal napping
        nap = teller.nap
        if (
            nap is not None
            and not napping
            and type(tensors) is torch.Tensor
            and undisturbed()
            and not here.busy
        ):
            try:
                if nap.backward(tensors):
                    napping = True
                    return None
            except Exception as error:
                teller.nap_failed(error)
        depth, told = here.backward, outermost()
        here.backward = depth + 1
        if told:
            try:
                tell("backward_begin", _tensors(tensors), None if teller.dozing else user_frame(3))
            except BaseException:
                here.backward = depth
                raise
        return depth, told

    def leave_backward(token: tuple[int, bool] | None, value: Any) -> None:
        nonlocal napping
        if token is None:
            napping = False
            return
        here.backward, told = token
        if told and not teller.dozing:
            tell("backward_end", value is RAISED)

    def enter_grad() -> tuple[int, bool]:
        depth, told = here.backward, outermost()
        here.backward = depth + 1
        return depth, told

    def leave_grad(token: tuple[int, bool] | None, value: Any, outputs: Any) -> None:
        if token is None:
            return
        here.backward, told = token
        if told and value is not RAISED:
            tell("autograd_grad", _tensors(outputs), user_frame(3))

    return [
        Spec(
            name="torch.autograd.backward",
            what="the outermost backward, and what it was called on",
            guard=_GUARD,
            enter=enter_backward,
            leave=leave_backward,
            enter_names=("tensors",),
        ),
        Spec(
            name="torch.autograd.grad",
            what="outermost calls of torch.autograd.grad",
            guard=_GUARD,
            enter=enter_grad,
            leave=leave_grad,
            leave_names=("outputs",),
        ),
    ]


def _tensors(given: Any) -> tuple[torch.Tensor, ...]:
    """The tensors among what was given; an iterator is left alone, it can be read only once."""
    if isinstance(given, torch.Tensor):
        return (given,)
    if isinstance(given, dict):
        given = tuple(given.values())
    if not isinstance(given, (tuple, list)):
        return ()
    return tuple(item for item in given if isinstance(item, torch.Tensor))
