"""The private parts of torch that unbug relies on, all of them, each with what happens where it is missing.

`self_test` tries every one; `unbug doctor` shows the result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

import torch
import torch.fx._symbolic_trace

__all__ = [
    "Check",
    "blocked",
    "graph_clock",
    "has_values",
    "in_backward",
    "node_time",
    "outside_dynamo",
    "self_test",
    "undisturbed",
    "unwatched",
]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One private part of torch: whether it is there and works, and what is lost without it."""

    name: str
    ok: bool
    without: str

    @property
    def says(self) -> str:
        """One line for `unbug doctor`."""
        return "works" if self.ok else f"is missing or changed in torch {torch.__version__}: {self.without}"


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
_transforms: Callable[[], bool] = _get("_C._are_functorch_transforms_active", lambda: True)
_graph_task: Callable[[], int] = _get("_C._current_graph_task_id", lambda: -1)
_sequence: Callable[[], int] = _get("_C._autograd._get_sequence_nr", lambda: -1)
_dispatch_modes: Callable[[], int] = _get("_C._len_torch_dispatch_stack", lambda: 0)
_no_functions: Any = _get("_C.DisableTorchFunction", contextlib.nullcontext)
_function_modes: Callable[[], int] = _get("_C._len_torch_function_stack", lambda: 1)
_extension: Any = _get("_C._dynamo.eval_frame", None)
_set_strategy: Any = getattr(_extension, "set_code_exec_strategy", None)
_skip_code: Any = getattr(_extension, "skip_code", None)
_set_eval_frame: Any = getattr(_extension, "set_eval_frame", None)
_tracer: Any = torch.fx._symbolic_trace
_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter


def blocked() -> bool:
    """Whether torch compiles, exports, traces or transforms in this thread: nothing may be looked at."""
    if _is_compiling() or _tracing_state() is not None or _interpreter() is not None:
        return True
    if _dispatch_modes() and _infra_mode():
        return True
    return bool(vars(_tracer).get("_is_fx_tracing_flag") or vars(_tracer).get("_is_fx_symbolic_tracing_flag"))


def _infra_mode() -> bool:
    """A dispatch mode under which tensors are no tensors: fake, proxy or functional ones."""
    from torch.utils import _python_dispatch

    names = {type(mode).__name__ for mode in _python_dispatch._get_current_dispatch_mode_stack()}
    return not names.isdisjoint(("FakeTensorMode", "ProxyTorchDispatchMode", "FunctionalTensorMode"))


def in_backward() -> bool:
    """Whether the autograd engine is running a graph in this thread (its own threads included)."""
    return _graph_task() != -1


def graph_clock() -> int:
    """A number that grows with every node of this thread's autograd graphs; -1 if torch does not tell."""
    return _sequence()


def node_time(node: Any) -> int:
    """What `graph_clock` showed when a node was made; -1 where that is unknown, as of leaves."""
    ask = getattr(node, "_sequence_nr", None)
    told = int(ask()) if ask is not None else -1
    return told if told < 2**62 else -1


def undisturbed() -> bool:
    """Whether a plain tensor may be read as it is: no mode, trace or transform would see it.

    Of the questions that `blocked` and `unwatched` ask, the four that cost least with cold caches.
    """
    return not (_transforms() or _function_modes() or _dispatch_modes()) and _tracing_state() is None


def has_values(tensor: Any) -> bool:
    """Whether a tensor has values, and computing with it `unwatched` runs none of the user's code."""
    kind = type(tensor)
    if kind is _Tensor or kind is _Parameter:
        if not _function_modes():
            return not tensor.is_meta
    elif kind.__torch_dispatch__ is not _Tensor.__torch_dispatch__:
        return False
    with _no_functions():
        return not tensor.is_meta


def unwatched() -> Any:
    """For the block, no mode or tensor subclass of the user's sees what is computed."""
    if not _dispatch_modes():
        return _no_functions()
    from torch.utils import _python_dispatch

    stack = contextlib.ExitStack()
    stack.enter_context(_no_functions())
    stack.enter_context(_python_dispatch._disable_current_modes())
    return stack


def outside_dynamo(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, such that Dynamo compiles neither it nor what it calls after a graph break.

    Uses the C extension alone, so that `torch._dynamo` is not imported. torch 2.6 cannot mark a function
    for good: there, Dynamo is switched off in the thread for the length of each call.
    """
    code = cast(FunctionType, function).__code__
    if _set_strategy is not None:
        _set_strategy(
            code, _extension._FrameExecStrategy(_extension._FrameAction.SKIP, _extension._FrameAction.SKIP)
        )
        return function
    if _skip_code is None or _set_eval_frame is None:
        return function
    switch = _set_eval_frame

    def switched_off(*arguments: Any) -> Any:
        before = switch(None)
        try:
            return function(*arguments)
        finally:
            switch(before)

    _skip_code(switched_off.__code__)
    return switched_off


def self_test() -> list[Check]:
    """Try every private part of torch that unbug uses."""

    told, seen = "calls are delivered {}", "user modes see what unbug computes"
    skip = _set_strategy is not None or None not in (_skip_code, _set_eval_frame)
    checks = [
        ("torch._C._get_tracing_state", _tracing_state() is None, told.format("during jit.trace")),
        ("torch._C._functorch.peek_interpreter_stack", _sees_functorch(), told.format("inside torch.func")),
        (
            "torch._C._are_functorch_transforms_active",
            _transforms() is False,
            "steps that are not watched cost more",
        ),
        ("torch._C._current_graph_task_id", _sees_backward(), "recomputation counts as forward passes"),
        ("torch._C._autograd._get_sequence_nr", _sees_node_times(), "graphs that are kept are not found"),
        ("torch._C._len_torch_dispatch_stack", _sees_dispatch_modes(), seen),
        ("torch._C.DisableTorchFunction", _sees_function_modes(), seen),
        (
            "torch._C._dynamo.eval_frame.set_code_exec_strategy",
            skip,
            "Dynamo tries to compile unbug's frames",
        ),
        ("torch.fx._symbolic_trace._is_fx_tracing_flag", _sees_fx(), told.format("during fx.symbolic_trace")),
    ]
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


def _sees_node_times() -> bool:
    leaf = torch.ones(1, requires_grad=True)
    with torch.enable_grad():
        before = graph_clock()
        node = (leaf * 2.0).grad_fn
    return 0 <= before <= node_time(node) < graph_clock()


def _sees_dispatch_modes() -> bool:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return function(*args, **(kwargs or {}))

    before = _dispatch_modes()
    with Mode():
        inside = _dispatch_modes()
        with unwatched():
            off = _dispatch_modes()
    return (inside - before, off) == (1, 0)


def _sees_function_modes() -> bool:
    seen: list[str] = []

    class Mode(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    tensor = torch.zeros(1)
    with Mode():
        with unwatched():
            tensor.add(1)
        inside = len(seen)
        tensor.add(1)
    return (inside, len(seen)) == (0, 1)


def _sees_fx() -> bool:
    seen: list[bool] = []

    def look(x: Any) -> Any:
        seen.append(blocked())
        return x

    torch.fx.symbolic_trace(look)
    return seen == [True] and not blocked()
