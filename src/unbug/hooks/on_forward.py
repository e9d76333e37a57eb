"""Modules are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from unbug.hooks.shims import blocked, has_values, in_backward
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED
from unbug.hooks.telling import Teller

__all__ = ["forward_taps"]


def forward_taps(teller: Teller) -> list[Spec]:
    """`Module.__call__`: the same function for every module; it sees compiled modules from outside, too.

    Not by torch's global module hooks: these lead every call through another path of `Module._call_impl`,
    with other lines in warnings and tracebacks, make `torch.compile` warn, and cost ten times as much.
    """
    here, tell = teller.here, teller.tell

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        state = here.forward
        if state:
            return state
        if here.busy or in_backward() or blocked() or not _usable((*args, *kwargs.values())):
            here.forward = -1
            return 0
        here.forward = 1
        try:
            tell("root_forward", module, args, kwargs)
        except BaseException:
            here.forward = 0
            raise
        return 0

    def leave(state: int | None, value: Any, module: Any, args: tuple[Any, ...]) -> None:
        if state == 1:
            if not teller.watch_modules or value is RAISED or here.busy or in_backward() or blocked():
                return
            if _usable((value,)):
                tell("module_output", module, args, value)
        elif state == 0:
            told = here.forward == 1
            here.forward = 0
            if told:
                tell("root_output", module, value if value is not RAISED and _usable((value,)) else None)

    return [
        Spec(
            name="torch.nn.Module.__call__",
            what="forward passes: of root modules, and of inner ones while these are watched",
            guard="tracing, transforms, recomputation inside backward, tensors without values",
            enter=enter,
            leave=leave,
            enter_names=("self", "args", "kwargs"),
            leave_names=("self", "args"),
        )
    ]


def _usable(things: Iterable[Any]) -> bool:
    """Whether all tensors among them, and in the collections among them, have values."""
    for thing in things:
        if isinstance(thing, Tensor):
            if not has_values(thing):
                return False
        elif isinstance(thing, (tuple, list, dict)):
            inside = thing.values() if isinstance(thing, dict) else thing
            if not all(has_values(item) for item in inside if isinstance(item, Tensor)):
                return False
    return True
