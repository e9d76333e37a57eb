"""The private parts of torch that unbug relies on, all of them, each with what happens where it is missing.

`self_test` tries every one; `unbug doctor` shows the result.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import torch

__all__ = [
    "Check",
    "blocked",
    "in_backward",
    "is_plain",
    "keep_from_dynamo",
    "modes_active",
    "self_test",
    "without_modes",
]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One private part of torch: whether it is there and works, and what is lost without it."""

    name: str
    ok: bool
    without: str
    detail: str = ""


def _get(path: str, fallback: Any) -> Any:
    found: Any = torch
    for name in path.split("."):
        found = getattr(found, name, None)
        if found is None:
            return fallback
    return found


_is_compiling: Callable[[], bool] = torch.compiler.is_compiling
_tracing_state: Callable[[], Any] = _get("_C._get_tracing_state", lambda: None)
_interpreter: Callable[[], Any] = _get("_C._functorch.peek_interpreter_stack", lambda: None)
_graph_task: Callable[[], int] = _get("_C._current_graph_task_id", lambda: -1)
_dispatch_modes: Callable[[], int] = _get("_C._len_torch_dispatch_stack", lambda: 0)
_function_modes: Callable[[], int] = _get("_C._len_torch_function_stack", lambda: 0)
_no_functions: Any = _get("_C.DisableTorchFunction", contextlib.nullcontext)
_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter


def blocked() -> bool:
    """Whether torch compiles, exports, traces or transforms in this thread, so that nothing may be looked at."""
    if _is_compiling() or _tracing_state() is not None or _interpreter() is not None:
        return True
    if _dispatch_modes() and _infra_mode():
        return True
    tracer = sys.modules.get("torch.fx._symbolic_trace")
    return tracer is not None and bool(
        getattr(tracer, "_is_fx_tracing_flag", False)
        or getattr(tracer, "_is_fx_symbolic_tracing_flag", False)
    )


def _infra_mode() -> bool:
    """A dispatch mode under which tensors are no tensors: fake, proxy or functional ones."""
    from torch.utils import _python_dispatch

    names = {type(mode).__name__ for mode in _python_dispatch._get_current_dispatch_mode_stack()}
    return not names.isdisjoint(("FakeTensorMode", "ProxyTorchDispatchMode", "FunctionalTensorMode"))


def in_backward() -> bool:
    """Whether the autograd engine is running a graph in this thread (its own threads included)."""
    return _graph_task() != -1


def is_plain(value: Any) -> bool:
    """A tensor that computing with calls no code of the user's, and that has values."""
    return (type(value) is _Tensor or type(value) is _Parameter) and not value.is_meta


def modes_active() -> bool:
    """Whether function or dispatch modes of the user would see what a listener computes."""
    return bool(_function_modes() or _dispatch_modes())


def without_modes() -> contextlib.ExitStack:
    """Switch the user's modes off for the block."""
    stack = contextlib.ExitStack()
    stack.enter_context(_no_functions())
    if _dispatch_modes():
        from torch.utils import _python_dispatch

        stack.enter_context(_python_dispatch._disable_current_modes())
    return stack


def keep_from_dynamo(functions: Iterable[FunctionType]) -> bool:
    """Keep Dynamo from compiling these functions' frames, and all that they call; false if that is not possible.

    Uses the C extension alone, so that `torch._dynamo` is not imported.
    """
    extension = _get("_C._dynamo.eval_frame", None)
    try:
        skip = extension._FrameExecStrategy(extension._FrameAction.SKIP, extension._FrameAction.SKIP)
        for function in functions:
            extension.set_code_exec_strategy(function.__code__, skip)
    except (AttributeError, TypeError):
        return False
    return True


def self_test() -> list[Check]:
    """Try every private part of torch that unbug uses."""

    def probe() -> None: ...

    checks = [
        ("torch._C._get_tracing_state", _tracing_state() is None, "calls are delivered during jit.trace"),
        ("torch._C._functorch.peek_interpreter_stack", _sees_functorch(), "calls are delivered inside torch.func"),
        ("torch._C._current_graph_task_id", _sees_backward(), "recomputation counts as forward passes"),
        ("torch._C._len_torch_dispatch_stack", _sees_dispatch_modes(), "user modes see unbug's own computations"),
        ("torch._C._len_torch_function_stack", _sees_function_modes(), "user modes see unbug's own computations"),
        ("torch._C._dynamo.eval_frame.set_code_exec_strategy", keep_from_dynamo([probe]),
         "Dynamo tries to compile unbug after graph breaks"),
        ("torch.fx._symbolic_trace.is_fx_tracing", _sees_fx(), "calls are delivered during fx.symbolic_trace"),
    ]  # fmt: skip
    return [Check(name=name, ok=ok, without=without) for name, ok, without in checks]


def _sees_functorch() -> bool:
    seen: list[bool] = []

    def look(x: Any) -> Any:
        seen.append(_interpreter() is not None)
        return x * x

    torch.func.grad(look)(torch.tensor(1.0))
    return seen == [True] and _interpreter() is None


def _sees_backward() -> bool:
    seen: list[bool] = []
    leaf = torch.ones(1, requires_grad=True)
    with torch.enable_grad():
        product = leaf * 2.0
    product.register_hook(lambda gradient: seen.append(in_backward()))
    torch.autograd.grad(product.sum(), leaf)
    return seen == [True] and not in_backward()


def _sees_dispatch_modes() -> bool:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return function(*args, **(kwargs or {}))

    before = _dispatch_modes()
    with Mode():
        inside = _dispatch_modes()
        with without_modes():
            off = _dispatch_modes()
    return (inside - before, off) == (1, 0)


def _sees_function_modes() -> bool:
    before = _function_modes()
    with torch.overrides.BaseTorchFunctionMode():
        return _function_modes() == before + 1


def _sees_fx() -> bool:
    seen: list[bool] = []

    def look(x: Any) -> Any:
        seen.append(blocked())
        return x

    torch.fx.symbolic_trace(look)
    return seen == [True] and not blocked()
