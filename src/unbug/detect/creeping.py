"""Whether weights hardly moved in a whole training, and whether their gradient was left as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unbug.detect.fresh import is_fresh
from unbug.detect.measures import matrices
from unbug.detect.wired import layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.detect.track import Track
    from unbug.detect.window import Window

__all__ = ["Walk", "fresh_weights", "unused_gradient", "walk", "walks_by_part"]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How far some weights went.

    Args:
        part: First part of their paths; empty for all weights.
        way: Length of the way, in their norm: each recorded update stands for the steps up to the next.
        step: Mean length of an update, in their norm.
        ratio: The longest track among them, as evidence.
        fresh: Whether most of them began with the random values that layers are made with.
    """

    part: str
    way: float
    step: float
    ratio: Track
    fresh: bool


def fresh_weights(window: Window) -> frozenset[str]:
    """Paths of trained weights that had the random values that layers are made with."""
    told = layers(window)
    every = (told.fields.get("weights") if told else None) or ()
    return frozenset(str(one.get("place")) for one in every if one.get("trained") and is_fresh(one))


def walk(window: Window) -> Walk | None:
    """How far all weights went together; None where no update of one was recorded."""
    return _walk(window, "", matrices(window, "update.ratio"))


def walks_by_part(window: Window) -> tuple[Walk, ...]:
    """The same for each network of several that are trained in turn, told apart by their paths."""
    parts: dict[str, list[Track]] = {}
    for track in matrices(window, "update.ratio"):
        parts.setdefault(track.place.partition(".")[0], []).append(track)
    found = [_walk(window, part, tuple(tracks)) for part, tracks in parts.items()]
    return tuple(one for one in found if one is not None)


def unused_gradient(window: Window) -> tuple[float, float] | None:
    """What is left of what gradients of steps in a row share, and their agreement.

    Returns:
        Median of `grad.signal` over the last third of the training, in that over the first; and the median
        of `grad.cosine` over the second half. None where fewer than 12 pairs were recorded.
    """
    signal, cosine = window.one("grad.signal"), window.one("grad.cosine")
    if signal is None or cosine is None:
        return None
    values = signal.values[np.isfinite(signal.values)]
    agreed = cosine.values[np.isfinite(cosine.values)]
    if len(values) < 12 or len(agreed) < 12:
        return None
    third = len(values) // 3
    first, last = float(np.median(values[:third])), float(np.median(values[-third:]))
    return (last / first if first > 0 else 0.0), float(np.median(agreed[len(agreed) // 2 :]))


def _walk(window: Window, part: str, tracks: tuple[Track, ...]) -> Walk | None:
    norms = {track.place: track for track in matrices(window, "weight.l2")}
    moved = weight = 0.0
    for track in tracks:
        norm, known = norms.get(track.place), np.isfinite(track.values)
        if norm is not None and known.any() and norm.values[0] > 0:
            moved += (_way(track, known, window.steps) * float(norm.values[0])) ** 2
            weight += float(norm.values[0]) ** 2
    if not weight:
        return None
    way = float(np.sqrt(moved / weight))
    fresh = fresh_weights(window)
    return Walk(
        part=part,
        way=way,
        step=way / max(window.steps, 1),
        ratio=max(tracks, key=len),
        fresh=2 * sum(track.place in fresh for track in tracks) > len(tracks),
    )


def _way(track: Track, known: NDArray[np.bool_], steps: int) -> float:
    rows = track.steps[known]
    gaps = np.diff(np.append(rows, max(steps, int(rows[-1]) + 1)))
    return float(np.sum(track.values[known] * gaps)) + float(track.values[known][0]) * int(rows[0])
