"""A copy of the program's model that shares nothing with it; or the reason why there can be none."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

from unbug.checks.probes.contract import NotPossible

__all__ = ["copy_of"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_MOST_OBJECTS = 20_000
_TRAINERS = ("lightning", "pytorch_lightning", "lightning_fabric")
_LEFT_OUT = ("torch", "builtins", "typing", "types", "functools")


def copy_of(model: nn.Module, *, most_bytes: int, shared: bool = False) -> nn.Module:
    """Copy a model by `copy.deepcopy`, without hooks and gradients, on the CPU.

    Args:
        most_bytes: That the copy may take.
        shared: The copy's parameters are other objects over the same memory, where it is the CPU's and this
            process's alone. It is for processes in which nobody uses the model any more.
    Raises:
        NotPossible: it is compiled, distributed or too large, has hooks that may change what it computes, or
            holds something that cannot be copied.
    """
    size = 0
    memo: dict[int, Any] = {}
    model = getattr(model, "_orig_mod", model)
    for name, module in model.named_modules():
        _check(name, module)
        if vars(module).get("_compiled_call_impl") is not None:
            memo[id(vars(module)["_compiled_call_impl"])] = None
        for table in _HOOKS:
            held = getattr(module, table, None)
            if isinstance(held, Mapping):
                memo[id(held)] = OrderedDict()
    for tensor in [*model.parameters(), *model.buffers()]:
        if not (shared and _is_our_own(tensor)):
            size += tensor.numel() * tensor.element_size()
    if size > most_bytes:
        raise NotPossible(f"a copy of the model takes {size >> 20} MB, more than there is for it")
    for parameter in model.parameters():
        if type(parameter) is not nn.Parameter:
            raise NotPossible(f"a parameter of class {type(parameter).__name__}")
        fresh = parameter.detach()
        if not (shared and _is_our_own(parameter)):
            fresh = fresh.to("cpu", copy=True)
        memo[id(parameter)] = nn.Parameter(fresh, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().to("cpu", copy=True)
    _walk(model, memo, most_bytes - size)
    try:
        made = copy.deepcopy(model, memo)
    except Exception as error:
        raise NotPossible(f"the model cannot be copied: {type(error).__name__}") from error
    return made


def _is_our_own(tensor: torch.Tensor) -> bool:
    """Whether it is a parameter in memory that no other process sees."""
    return isinstance(tensor, nn.Parameter) and tensor.device.type == "cpu" and not tensor.is_shared()


def _check(name: str, module: nn.Module) -> None:
    """Refuse modules whose copy would not do what they do."""
    kind, where = type(module).__name__, name or "the model"
    origin = type(module).__module__
    if kind in ("OptimizedModule", "ScriptModule", "RecursiveScriptModule", "TopLevelTracedModule"):
        raise NotPossible(f"{where} is compiled")
    if origin.startswith(("torch.nn.parallel", "torch.distributed")):
        raise NotPossible(f"{where} is a {kind}")
    if "forward" in vars(module) or "__call__" in vars(module):
        raise NotPossible(f"the forward of {where} was replaced")
    for table in ("_forward_hooks", "_forward_pre_hooks"):
        if getattr(module, table, None):
            raise NotPossible(f"{where} has forward hooks")


def _walk(model: nn.Module, memo: dict[int, Any], left_bytes: int) -> None:
    """Look at what the modules hold besides parameters: how much it is, and whether it may be copied.

    A trainer that a module knows is left out of the copy: it knows the data and the loggers.
    """
    seen: set[int] = set()
    waiting: list[Any] = [model]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or id(thing) in memo:
            continue
        seen.add(id(thing))
        if len(seen) > _MOST_OBJECTS:
            raise NotPossible("the model holds too much besides its parameters")
        if isinstance(thing, torch.Tensor):
            if thing.grad_fn is not None:
                raise NotPossible("the model keeps a tensor with a graph")
            left_bytes -= thing.numel() * thing.element_size()
        elif isinstance(thing, np.ndarray):
            left_bytes -= thing.nbytes
        elif isinstance(thing, (str, bytes, int, float, bool, type(None), type)):
            continue
        elif isinstance(thing, nn.Module):
            waiting.extend(vars(thing).values())
        elif isinstance(thing, Mapping):
            waiting.extend(thing.values())
        elif isinstance(thing, (list, tuple, set, frozenset)):
            waiting.extend(thing)
        else:
            waiting.extend(_inside(thing, memo))
        if left_bytes < 0:
            raise NotPossible("what the model holds is too large to be copied")


def _inside(thing: Any, memo: dict[int, Any]) -> Iterable[Any]:
    package = type(thing).__module__.partition(".")[0]
    if package in _TRAINERS:
        memo[id(thing)] = None
        return ()
    kind = type(thing)
    if isinstance(thing, torch.optim.Optimizer) or hasattr(kind, "__next__") or hasattr(kind, "fileno"):
        raise NotPossible(f"the model holds a {kind.__name__}")
    if isinstance(thing, FunctionType):
        _check_function(thing)
    if package in _LEFT_OUT:
        return ()
    held = getattr(thing, "__dict__", None)
    return held.values() if isinstance(held, dict) else ()


def _check_function(function: FunctionType) -> None:
    """Refuse functions over a module or a tensor: a copy of the model would go on using the original's."""
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a cell that is empty yet
            held.append(cell.cell_contents)
    if any(isinstance(one, nn.Module | torch.Tensor) for one in held):
        raise NotPossible(f"the model holds a function over a module: {function.__qualname__}")
