"""A program that makes no more steps: once, the stacks of all its threads are kept.

A step may rightly take long, and so may what lies between two: an evaluation, a checkpoint, the loading of
data. So silence alone is not taken for a hang: in the second half of the waiting, the main thread must have
stood at one and the same place at every look.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from unbug.hooks import waits_for_input

__all__ = ["FACTOR", "HangWatch", "stacks"]

FACTOR = 20
"""Times the median step, without a step, from which on it may be a hang."""
_KEPT = 64
_LEAST_STEPS = 3
_LOOKS, _LEAST_LOOKS = 8, 6
"""Looks at the main thread in the second half of the waiting, and how many of them there must have been."""
_DEEP = 100
_MOST = 5
"""Hangs kept of a run: one that comes and goes is no news any more."""

Position = tuple[int, int, int, int]


class HangWatch:
    """Called now and then by the background thread.

    Args:
        least_s: Seconds without a step below which nothing is a hang; 0 for never.
        tell: Is given the fields of an event `hang`.
    """

    def __init__(
        self,
        position: Callable[[], Position],
        tell: Callable[[Mapping[str, Any]], None],
        *,
        least_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._position, self._tell, self._least_s, self._clock = position, tell, least_s, clock
        self._at: Position | None = None
        self._since = 0.0
        self._step_s: deque[float] = deque(maxlen=_KEPT)
        self._stood: tuple[Any, ...] | None = None
        self._looks = 0
        self._next = 0.0
        self._told = False
        self._count = 0

    def look(self) -> None:
        """See whether the program has moved on."""
        now, at = self._clock(), self._position()
        if self._least_s <= 0 or at[0] < 0:
            return
        before = self._at
        if before != at:
            if before is not None and before[0] == at[0] and at[1] > before[1]:
                self._step_s.append((now - self._since) / (at[1] - before[1]))
            if before is None or before[:2] != at[:2]:
                self._since = now
            self._at, self._stood, self._looks, self._told = at, None, 0, False
            self._next = now
            return
        if self._told or self._count >= _MOST or at[1] + 1 < _LEAST_STEPS:
            return
        limit = self.threshold_s()
        silent = now - self._since
        if silent < limit / 2 or now < self._next:
            return
        self._next = now + limit / 2 / _LOOKS
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        if waits_for_input(frame):
            self._since = now
            return
        here = _place(frame)
        self._looks = self._looks + 1 if here == self._stood else 1
        self._stood = here
        if silent >= limit and self._looks >= _LEAST_LOOKS:
            self._told, self._count = True, self._count + 1
            self._tell(
                {
                    "since_s": round(silent, 3),
                    "median_s": self._median_s(),
                    "threshold_s": limit,
                    "stacks": stacks(),
                }
            )

    def threshold_s(self) -> float:
        """Seconds without a step from which on it may be a hang."""
        return max(self._least_s, FACTOR * self._median_s())

    def _median_s(self) -> float:
        return statistics.median(self._step_s) if self._step_s else 0.0


def stacks() -> dict[str, list[str]]:
    """Of each thread, by its name, the innermost frame last: `file:line in function`. Ours is left out."""
    own = threading.get_ident()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found: dict[str, list[str]] = {}
    for ident, frame in sys._current_frames().items():
        if ident == own:
            continue
        name = names.get(ident, f"thread {ident}")
        if name in found:
            name = f"{name} ({ident})"
        found[name] = [f"{file}:{line} in {function}" for file, line, function in _place(frame)]
    return found


def _place(frame: FrameType | None) -> tuple[tuple[str, int | None, str], ...]:
    frames: list[tuple[str, int | None, str]] = []
    while frame is not None and len(frames) < _DEEP:
        frames.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
        frame = frame.f_back
    return tuple(reversed(frames))
