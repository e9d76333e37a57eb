"""What several ranks recorded of one training, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.detect.track import Track
    from unbug.detect.window import Window

__all__ = ["at_common_steps", "pairs", "sharded"]


def at_common_steps(
    one: Track, other: Track
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Steps at which both have a row, with the values of both; of several rows of a step the first."""
    steps, mine, theirs = np.intersect1d(one.steps, other.steps, return_indices=True)
    return steps, one.values[mine], other.values[theirs]


def pairs(first: Window, other: Window, name: str) -> Iterator[tuple[Track, Track]]:
    """Tracks of a series at the same place, of two ranks."""
    there = {(track.place, track.statistic): track for track in other.read(name)}
    for track in first.read(name):
        found = there.get((track.place, track.statistic))
        if found is not None:
            yield track, found


def sharded(window: Window) -> bool:
    """Whether a rank holds but a part of some parameter: full sharding, tensor parallelism."""
    shapes = {place.path: place.shape for place in window.places if place.kind == "parameter"}
    for track in window.read("weight.count"):
        shape = shapes.get(track.place)
        if shape and len(track) and track.values[0] != prod(shape):
            return True
    return False
