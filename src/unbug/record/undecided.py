"""Calls of models with gradients on, until a loss is found to depend on them: these train, others evaluate.

Many programs ask for predictions in between and write neither `eval()` nor `no_grad()` for it. The graph
tells: backward passes through the output of a call, or it does not. Of the graph only nodes that are younger
than the output can depend on it, so that the search stays short.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from unbug.hooks import node_time
from unbug.record.tensors import first_tensor

__all__ = ["Undecided"]

Key = TypeVar("Key", bound=Hashable)
Look = TypeVar("Look")
_MOST_NODES, _MOST_WAITING, _PASSED = 3000, 64, 2
"""Backward passes through younger calls of a model after which an older one has only been asked."""


@dataclass(slots=True)
class _Call(Generic[Key, Look]):
    """`time`: of the node that made the output; -1 until it is there, and where there is none."""

    key: Key
    look: Look
    time: int = -1
    passed: int = 0


class Undecided(Generic[Key, Look]):
    """Calls in the order in which they were made.

    Args:
        decide: Told `(key, look, trains)` of each call, once.
    """

    def __init__(self, decide: Callable[[Key, Look, bool], None]) -> None:
        self._decide = decide
        self._calls: list[_Call[Key, Look]] = []
        self._open: _Call[Key, Look] | None = None

    @property
    def waits(self) -> bool:
        """Whether the output of the last call is not there yet."""
        return self._open is not None

    def count(self, key: Key) -> int:
        """Calls of one model that are not decided."""
        return sum(one.key == key for one in self._calls)

    def called(self, key: Key, look: Look) -> None:
        """A model is called."""
        if len(self._calls) >= _MOST_WAITING:  # so many, and no loss has asked for the first one
            first = self._calls.pop(0)
            self._decide(first.key, first.look, False)
        self._open = _Call(key, look)
        self._calls.append(self._open)

    def left(self, output: Any) -> None:
        """It gave its output."""
        call, self._open = self._open, None
        tensor = first_tensor(output)
        if call is not None and tensor is not None and tensor.grad_fn is not None:
            call.time = node_time(tensor.grad_fn)

    def backward(self, losses: tuple[torch.Tensor, ...]) -> None:
        """Backward begins at these losses: some calls are decided."""
        if not self._calls:
            return
        times = {call.time for call in self._calls if call.time >= 0}
        found = _reached(losses, times)
        kept = []
        for place, call in enumerate(self._calls):
            if found is None or call.time < 0 or call.time in found:
                self._decide(call.key, call.look, True)
                continue
            later = self._calls[place + 1 :]
            call.passed += any(one.key == call.key and one.time in found for one in later)
            if call.passed >= _PASSED:
                self._decide(call.key, call.look, False)
            else:
                kept.append(call)
        self._calls = kept

    def close(self) -> None:
        """No more losses come. What nothing has passed yet is as it looks: nothing was learned from it."""
        for call in self._calls:
            self._decide(call.key, call.look, call.time < 0)
        self._calls, self._open = [], None


def _reached(losses: tuple[torch.Tensor, ...], times: set[int]) -> set[int] | None:
    """Those nodes, by their times, that the losses depend on; None where the graph is too large to tell."""
    if not times:
        return set()
    oldest, left = min(times), set(times)
    waiting = [
        (-node_time(one.grad_fn), place, one.grad_fn) for place, one in enumerate(losses) if one.grad_fn
    ]
    heapq.heapify(waiting)
    count, seen, found = len(waiting), {node for _, _, node in waiting}, set()
    while waiting and left:
        time, _, node = heapq.heappop(waiting)
        if -time in left:
            left.discard(-time)
            found.add(-time)
        for inner, _ in node.next_functions:
            if inner is None or inner in seen:
                continue
            made = node_time(inner)
            if made < oldest:  # a leaf, or made before
                continue
            count += 1
            if count > _MOST_NODES:
                return None
            seen.add(inner)
            heapq.heappush(waiting, (-made, count, inner))
    return found
