"""Whether memory grows from step to step: the `memory` event, with a slope that outliers do not bend.

The slope is the median of those between all pairs of samples, and its interval that of Kendall's test.

Source: Sen 1968, "Estimates of the Regression Coefficient Based on Kendall's Tau", JASA 63.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["MemoryTrend", "robust_slope"]

_FROM = 5
"""Step from which memory is compared: before it, torch's own buffers grow."""
_MOST, _FEWEST = 128, 8
_GROWTH_BYTES = 16_000_000
_SURE = 1.96

Slope = tuple[float, float, float]


def robust_slope(x: Sequence[float], y: Sequence[float]) -> Slope | None:
    """Slope with a 95 % interval for samples that do not depend on one another; None if x hardly varies.

    Returns:
        Slope, low, high.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    one, two = np.triu_indices(len(first), 1)
    apart = first[two] - first[one]
    there = apart != 0
    if there.sum() < len(first):
        return None
    slopes = np.sort((second[two] - second[one])[there] / apart[there])
    count, pairs = len(first), len(slopes)
    reach = _SURE * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(int((pairs - reach) / 2), 0)
    high = min(int((pairs + reach) / 2) + 1, pairs - 1)
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


class MemoryTrend:
    """Samples the memory of this process at steps of one training; at most `_MOST` samples, then every other.

    Args:
        resident: Bytes of this process in memory.
        tell: Writes an event: fields, training, step.
    """

    def __init__(
        self, resident: Callable[[], float], tell: Callable[[dict[str, object], int, int], None]
    ) -> None:
        self._resident, self._tell = resident, tell
        self._samples: list[tuple[float, float, float]] = []
        self._begin(-1)

    def look(self, position: tuple[int, int, int, int]) -> None:
        """Take a sample, and tell of memory that grows; again when it has doubled what it grew."""
        training, step = position[:2]
        if training < 0 or step < _FROM:
            return
        if training != self._training:
            self._begin(training)
        self._calls += 1
        if self._calls % self._stride or (self._samples and self._samples[-1][0] == step):
            return
        self._samples.append((float(step), self._resident(), float(sys.getallocatedblocks())))
        count = len(self._samples)
        if count >= _FEWEST and (count & (count - 1) == 0 or self._told):
            self._judge(training, step)
        if count >= _MOST:
            self._samples = self._samples[::2]
            self._stride *= 2

    def _begin(self, training: int) -> None:
        self._training, self._calls, self._stride, self._told = training, 0, 1, 0.0
        self._samples = []

    def _judge(self, training: int, step: int) -> None:
        steps, memory, blocks = zip(*self._samples, strict=True)
        grown = memory[-1] - memory[0]
        if grown < max(_GROWTH_BYTES, 2 * self._told):
            return
        slope = robust_slope(steps, memory)
        if slope is None or slope[1] <= 0:
            return
        self._told = grown
        objects = robust_slope(steps, blocks) or (0.0, 0.0, 0.0)
        fields: dict[str, object] = {
            "samples": len(steps),
            "first_step": int(steps[0]),
            "rss_start_bytes": memory[0],
            "rss_bytes": memory[-1],
            "bytes_per_step": slope[0],
            "bytes_per_step_low": slope[1],
            "bytes_per_step_high": slope[2],
            "blocks_start": blocks[0],
            "blocks": blocks[-1],
            "blocks_per_step": objects[0],
            "blocks_per_step_low": objects[1],
            "blocks_per_step_high": objects[2],
        }
        self._tell(fields, training, step)
