"""What all further looks share: taking what is planned, measuring, failing alone, reading a device late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch

from unbug.hooks import from_signal
from unbug.record.rows import Later

if TYPE_CHECKING:
    from unbug.record.budget import Item
    from unbug.record.core import Core

__all__ = ["NEVER", "TOLD_AT", "Sight"]

TOLD_AT = frozenset(mantissa * 10**power for power in range(10) for mantissa in (1, 2, 5))
NEVER = 1e9
"""Weight of an item that does not apply to a program."""
_MOST_LATE = 64


class Sight:
    """Each part that fails is told once, is off from then on, and leaves the others and the program alone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._off: set[str] = set()
        self._late: deque[Later] = deque()

    def planned(self, kind: str) -> Item | None:
        """The item of a kind if it is planned for the step in progress; it is taken."""
        current = self._core.current
        looks = current.looks if current is not None else None
        return looks.eyes.pop(kind, None) if looks is not None and looks.eyes else None

    def look(self, kind: str, item: Item, look: Callable[[], bool]) -> None:
        """Look, and measure; what does not apply is not planned again."""
        start = perf_counter_ns()
        self.poll()
        if not self.safely(kind, look):
            item.weight, item.cost_ns = NEVER, 1.0
            return
        item.measured(perf_counter_ns() - start)
        current = self._core.current
        if current is not None and current.looks is not None:
            current.looks.taken[kind] += 1

    def safely(self, part: str, call: Callable[[], Any]) -> bool:
        """Whether a part did what it should; one that fails is off."""
        if part in self._off:
            return False
        try:
            return call() is not False
        except Exception as error:
            if from_signal(error):
                raise
            self._off.add(part)
            self._core.event("fault", {"where": part, "error": f"{type(error).__name__}: {error}"})
            self._core.faults.append(f"{part}: {type(error).__name__}: {error}")
            return False

    def fetch(self, vector: torch.Tensor, finish: Callable[[list[float]], None]) -> None:
        """Numbers for `finish`: at once from the CPU, else when the device has delivered them."""
        if vector.device.type == "cpu":
            finish(vector.tolist())
        elif len(self._late) < _MOST_LATE:
            self._late.append(Later(vector, lambda got: _done(finish, got)))

    def poll(self, *, wait: bool = False) -> None:
        """Finish what a device has delivered; all of it with `wait`."""
        while self._late and (wait or self._late[0].ready()):
            self._late.popleft().values()


def _done(finish: Callable[[list[float]], None], got: list[float]) -> list[float]:
    finish(got)
    return []
