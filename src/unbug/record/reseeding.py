"""Generators that are given the same seeds over and over while a training goes on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from unbug.hooks import user_frame
from unbug.record.sight import TOLD_AT

if TYPE_CHECKING:
    from unbug.record.core import Core

__all__ = ["Reseeding"]

_MOST_SEEDS = 4096


class Reseeding:
    """Writes `reseeded` events: how often a generator was seeded since the first step, with how many seeds,
    at how many steps."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seeds: dict[str, Counter[int | None]] = {}
        self._steps: dict[str, tuple[int, int]] = {}

    def seeded(self, generator: str, seed: int | None) -> None:
        """A generator was seeded."""
        number, step, _, _ = self._core.position()
        if number < 0 or step < 0:
            return
        seeds = self._seeds.setdefault(generator, Counter())
        if seed not in seeds and len(seeds) >= _MOST_SEEDS:
            return
        seeds[seed] += 1
        last, steps = self._steps.get(generator, (-1, 0))
        self._steps[generator] = step, steps + (step != last)
        times = seeds.total()
        if times in TOLD_AT and times >= 2:
            frame = user_frame(2)
            self._core.event(
                "reseeded",
                {
                    "generator": generator,
                    "times": times,
                    "seeds": len(seeds),
                    "steps": self._steps[generator][1],
                    "file": frame.file if frame is not None else "",
                    "line": frame.line if frame is not None else 0,
                },
            )
