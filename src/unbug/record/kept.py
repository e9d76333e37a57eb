"""Graphs of earlier steps that the program keeps alive: the `graphs` event, where memory grows."""

from __future__ import annotations

import ctypes
import gc
import heapq
import linecache
import re
import sys
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch

from unbug.hooks import graph_clock, node_time

__all__ = ["KeptGraphs"]

_FROM = 5
"""Step from which memory is compared: before it, torch's own buffers grow."""
_GROWTH_BYTES, _MORE_BYTES = 3_000_000, 1_000_000
"""How much memory must have grown, in all and since the last search: one takes tens of milliseconds."""
_MOST_VAIN = 4
_MOST_NODES = 10_000
_MOST_TENSORS = 20_000
_MOST_ITEMS = 5
_TENSORS = (torch.Tensor, torch.nn.Parameter)
_STATM = Path("/proc/self/statm")
_OWN_SHARE = 0.05
"""Of the resident size: with less, memory comes from elsewhere."""


class KeptGraphs:
    """Looks, at a few steps, whether nodes of autograd graphs outlive the steps that made them.

    Torch numbers its nodes. What is alive now and was made before the last look belongs to an old step, and
    something holds it. The heap is searched only where memory has grown.
    """

    def __init__(self) -> None:
        self._base: int | None = None
        self._mark: tuple[int, int] | None = None
        self._searched = self._vain = 0

    def look(self, step: int) -> dict[str, Any] | None:
        """Facts of the `graphs` event; None where there is no reason to search."""
        mark, self._mark = self._mark, (step, graph_clock())
        bytes_now = used_bytes()
        if step < _FROM or bytes_now is None:
            return None
        if self._base is None:
            self._base = self._searched = bytes_now
            return None
        if mark is None or mark[1] < 0 or self._vain >= _MOST_VAIN:
            return None
        if bytes_now - self._base < _GROWTH_BYTES or bytes_now - self._searched < _MORE_BYTES:
            return None
        before, self._searched = self._searched, bytes_now
        starts = _starts()
        old, more = _old_nodes(starts, mark[1])
        self._vain += not old
        name, file, line = _holder(mark[1]) if old else ("", "", 0)
        return {
            "since": mark[0],
            "old_nodes": old,
            "more": more,
            "tensors": len(starts),
            "used_bytes": bytes_now,
            "used_before_bytes": before,
            "used_start_bytes": self._base,
            "holder": name,
            **({"file": file, "line": line} if line else {}),
        }


def used_bytes() -> int | None:
    """Memory in use, here and on the current CUDA device; None where the system does not tell at once.

    What the C library has given out, where it tells: what lies free in the process hides growth from its
    resident size.
    """
    here = _given_out()
    if here is None:
        here = resident_bytes()
    if here is None or not torch.cuda.is_initialized():
        return here
    return here + int(torch.cuda.memory_allocated())


def resident_bytes(source: Path = _STATM) -> int | None:
    """Resident size of this process; None where the system does not tell at once."""
    try:
        pages = int(source.read_text().split()[1])
        import resource

        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError, ImportError):
        return None


class _Given(ctypes.Structure):
    """`struct mallinfo2` of glibc 2.33 and later."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def _given_out() -> int | None:
    """Bytes that the C library's allocator has given out; None where it is another, or another library's
    allocator takes its place and it knows of next to nothing."""
    ask = _asked()
    if ask is None:
        return None
    given = ask()
    found = int(given.uordblks) + int(given.hblkhd)
    resident = resident_bytes()
    return found if resident is None or found >= _OWN_SHARE * resident else None


@lru_cache(maxsize=1)
def _asked() -> Callable[[], _Given] | None:
    try:
        ask: Any = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError, TypeError):
        return None
    ask.restype, ask.argtypes = _Given, ()
    return ask  # type: ignore[no-any-return]


def _starts() -> list[Any]:
    """Nodes that living tensors stand for."""
    found = []
    for thing in gc.get_objects():
        if type(thing) in _TENSORS and thing.requires_grad and not thing.is_leaf:
            node = thing.grad_fn
            if node is not None:
                found.append(node)
                if len(found) >= _MOST_TENSORS:
                    break
    return found


def _old_nodes(starts: list[Any], mark: int) -> tuple[int, bool]:
    """How many nodes from before the mark are alive, the oldest first; and whether there are more."""
    number = count()
    seen = {id(node): node for node in starts}
    queue = [(node_time(node), next(number), node) for node in starts]
    heapq.heapify(queue)
    old = 0
    while queue:
        time, _, node = heapq.heappop(queue)
        old += 0 <= time < mark
        for source, _ in node.next_functions:
            if source is not None and id(source) not in seen:
                if len(seen) >= _MOST_NODES:
                    return old, True
                seen[id(source)] = source
                heapq.heappush(queue, (node_time(source), next(number), source))
    return old, False


def _holder(mark: int) -> tuple[str, str, int]:
    """A variable of the program's main module that holds an old node, and the line that adds to it."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None) or ""
    for name, value in list(vars(main).items()) if main is not None else ():
        if not name.startswith("__") and any(_is_old(one, mark) for one in _some(value)):
            return name, str(file), _line(str(file), name)
    return "", "", 0


def _some(value: object) -> list[object]:
    if type(value) in (list, tuple, deque):
        return list(islice(value, _MOST_ITEMS))  # type: ignore[call-overload]
    if type(value) is dict:
        return list(islice(value.values(), _MOST_ITEMS))
    return [value]


def _is_old(value: object, mark: int) -> bool:
    """Whether a tensor is of a node from before the mark, or adds to one."""
    if type(value) not in _TENSORS:
        return False
    assert isinstance(value, torch.Tensor)
    if not value.requires_grad or value.is_leaf or value.grad_fn is None:
        return False
    nodes = [value.grad_fn, *(node for node, _ in value.grad_fn.next_functions if node is not None)]
    return any(0 <= node_time(node) < mark for node in nodes)


def _line(file: str, name: str) -> int:
    pattern = re.compile(
        rf"\b{re.escape(name)}(\[[^\]]*\])?(\.(append|extend|appendleft|insert)\(|\s*\+=|\s*=\s*.*\b{re.escape(name)}\b\s*\+)"
    )
    lines = linecache.getlines(file)
    return next((number for number, text in enumerate(lines, 1) if pattern.search(text)), 0)
