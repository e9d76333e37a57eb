"""What a probe is: a cheap experiment on a copy of the model, whose numbers decide between hypotheses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from unbug.checks.probes.subject import Subject

__all__ = ["Clock", "NotPossible", "OutOfTime", "Probe"]

Probe: TypeAlias = "Callable[[Subject, Clock], dict[str, Any]]"


class NotPossible(Exception):
    """A probe does not apply, or cannot be made here; the message says why, in a few words."""


class OutOfTime(Exception):
    """The time that all probes have together is over."""


class Clock:
    """The time that is left.

    Args:
        limit_s: From now on.
        stop: Whether somebody waits for the end, such as a user who pressed Ctrl-C.
    """

    def __init__(
        self, limit_s: float, *, stop: Callable[[], bool] = lambda: False,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._now_s, self._stop = now_s, stop
        self.began_s = now_s()
        self._end_s = self.began_s + limit_s

    @property
    def left_s(self) -> float:
        """Seconds until the end; negative behind it."""
        return self._end_s - self._now_s()

    def check(self, needed_s: float = 0.0) -> None:
        """Between two small steps of a probe.

        Raises:
            OutOfTime: what comes next would take longer than there is.
        """
        if self._stop() or self.left_s < needed_s:
            raise OutOfTime

    def part(self, share: float) -> Clock:
        """A clock for a part of what is left."""
        return Clock(max(self.left_s * share, 0.0), stop=self._stop, now_s=self._now_s)
