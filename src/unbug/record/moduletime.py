"""How long modules take in one forward pass, from the moments at which they gave their outputs.

What lies between the output before and a module's own is the module's own time: its work, and any operation
in front of it that belongs to no module. An enclosing module takes what its children take and its own. Our
work in between is left out. On a device it is the time to queue the work, not to do it.
"""

from __future__ import annotations

from collections import Counter
from time import perf_counter_ns

from unbug.types import Place

__all__ = ["ModuleTimes"]


class ModuleTimes:
    """One forward pass."""

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()
        self.places: dict[str, Place] = {}
        self._open: list[tuple[str, int]] = []
        self._mark = 0

    def begins(self) -> None:
        """The root module is about to run."""
        self._mark = perf_counter_ns()

    def output(self, place: Place | None, at_ns: int) -> None:
        """A module gave its output at that time; one without a place leaves its time to the next."""
        if place is None:
            self._mark += perf_counter_ns() - at_ns
            return
        path, spent = place.path, at_ns - self._mark
        whole = spent
        while self._open and (place.parent is None or self._open[-1][0].startswith(f"{path}.")):
            whole += self._open.pop()[1]
        self._open.append((path, whole))
        self.own[path] += spent
        self.whole[path] += whole
        self.places[path] = place
        self._mark = perf_counter_ns()
