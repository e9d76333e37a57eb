"""What watching costs: random blocks of steps are left unwatched and compared with their neighbours."""

from __future__ import annotations

import random as random_module

__all__ = ["Blocks", "interval", "median"]

_LENGTHS = (16, 48)
_UNWATCHED = 0.12
_MOST_PAIRS = 512
_OUTLIER = 6.0
_RESAMPLES = 400


class Blocks:
    """Draws blocks of steps and keeps how long a step took in each.

    A pair is an unwatched block with the watched ones around it. Steps that take `_OUTLIER` times the median
    (an evaluation, a checkpoint) are left out of both.
    """

    def __init__(self, random: random_module.Random) -> None:
        self._random = random
        self.unwatched = False
        self.left = 0
        self._sum = 0.0
        self._count = 0
        self._before: float | None = None
        self._open: float | None = None
        self.ratios: list[float] = []
        self.steps_unwatched = 0

    def step(self, taken_ns: float, median_ns: float, steps: int = 1) -> None:
        """Steps are over, watched or not, in `taken_ns` in all; the next may belong to another block."""
        if not median_ns or taken_ns <= _OUTLIER * median_ns * steps:
            self._sum += taken_ns
            self._count += steps
        self.steps_unwatched += self.unwatched * steps
        self.left -= steps
        if self.left <= 0:
            self._close()
            self.unwatched = not self.unwatched and self._random.random() < 2 * _UNWATCHED
            self.left = self._random.randint(*_LENGTHS)

    def interrupted(self) -> None:
        """Something new began: what was measured in this block says nothing."""
        self._sum, self._count, self._before, self._open = 0.0, 0, None, None
        self.unwatched = False
        self.left = _LENGTHS[1]

    def _close(self) -> None:
        mean = self._sum / self._count if self._count >= _LENGTHS[0] // 2 else None
        self._sum, self._count = 0.0, 0
        if self.unwatched:
            self._open = mean
            return
        if self._open is not None and mean is not None and self._before is not None:
            self.ratios.append((self._before + mean) / 2 / self._open)
            if len(self.ratios) > _MOST_PAIRS:
                del self.ratios[: _MOST_PAIRS // 2]
        self._open = None
        self._before = mean


def interval(
    ratios: list[float], random: random_module.Random, *, coverage: float = 0.95
) -> tuple[float, float, float] | None:
    """Median of the ratios with a bootstrap interval; None for fewer than five.

    Returns:
        Median, lower end, upper end.
    """
    if len(ratios) < 5:
        return None
    medians = sorted(median([random.choice(ratios) for _ in ratios]) for _ in range(_RESAMPLES))
    tail = (1 - coverage) / 2
    return median(ratios), medians[int(tail * _RESAMPLES)], medians[int((1 - tail) * _RESAMPLES) - 1]


def median(values: list[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
