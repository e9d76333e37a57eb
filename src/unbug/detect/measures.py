"""Quantities that several rules look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unbug.detect.track import Track
from unbug.types import Place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.detect.window import Window

__all__ = ["ADAPTIVE", "block_medians", "is_matrix", "joined", "matrices", "total_ratio", "weight_growth"]

ADAPTIVE = frozenset(
    [
        "Adam",
        "AdamW",
        "Adamax",
        "NAdam",
        "RAdam",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "SparseAdam",
        "Adafactor",
        "Lion",
        "Muon",
        "Rprop",
    ]
)
"""Optimizers whose update does not grow with the size of the gradient."""


def is_matrix(place: Place) -> bool:
    """Whether a parameter has at least two dimensions that are more than 1: a weight, not a bias or a
    gain."""
    return sum(size > 1 for size in place.shape) >= 2


def matrices(window: Window, name: str) -> tuple[Track, ...]:
    """Tracks of a statistic at the weights (not biases, gains, embeddings), in network order."""
    classes = {place.path: place.class_name.rpartition(".")[2] for place in window.places}
    return tuple(
        track
        for track in window.read(name)
        if is_matrix(track.where) and not classes.get(_owner(track.where), "").startswith("Embedding")
    )


def joined(first: Track, second: Track) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The steps that both tracks have, and their values there (the last of several of one step)."""
    steps = np.intersect1d(first.steps, second.steps)
    values = [
        track.values[np.searchsorted(track.steps, steps, side="right") - 1] for track in (first, second)
    ]
    return steps, values[0], values[1]


def total_ratio(window: Window, numerator: str, *, relative: bool = False) -> Track | None:
    """2-norm over all weights of a quantity over the 2-norm of these weights, at each step that recorded them
    all.

    Args:
        numerator: `update.ratio` or `grad.l2`.
        relative: The numerator is itself a share of the weight's norm (as `update.ratio` is).
    Returns:
        A track at place `optimizer`; None where nothing was recorded.
    """
    return window.kept(
        ("total_ratio", numerator, relative), lambda: _total_ratio(window, numerator, relative=relative)
    )


def _total_ratio(window: Window, numerator: str, *, relative: bool) -> Track | None:
    norms = {track.place: track for track in matrices(window, "weight.l2")}
    tracks = [track for track in matrices(window, numerator) if track.place in norms]
    found = [joined(track, norms[track.place]) for track in tracks]
    if not found:
        return None
    steps, values, weights = (np.concatenate(columns) for columns in zip(*found, strict=True))
    known = weights > 0
    steps, values, weights = steps[known], values[known], weights[known]
    if not len(steps):
        return None
    at, which = np.unique(steps, return_inverse=True)
    with np.errstate(all="ignore"):
        parts = values * weights if relative else values
        over, under = (np.bincount(which, weights=column**2) for column in (parts, weights))
        ratio = np.sqrt(over / under)
    # A step counts if it recorded half as many weights as any step before it: later ones change nothing.
    count = np.bincount(which)
    full = 2 * count >= np.maximum.accumulate(count)
    return Track(
        name=numerator,
        where=replace(_OPTIMIZER, training=window.training.number),
        steps=at[full],
        values=ratio[full],
        sampled=tracks[0].sampled,
        training=window.training.number,
        micros=np.zeros(int(full.sum()), np.int64),
    )


def weight_growth(window: Window) -> Track | None:
    """2-norm over all weights over what it was when each was first recorded, at each step that recorded one;
    of the others the last value counts.

    Returns:
        A track at place `optimizer`, beginning with 1; None where nothing was recorded.
    """
    tracks = [track for track in matrices(window, "weight.l2") if track.values[0] ** 2 > 0]
    if not tracks:
        return None
    rows = sorted(
        (step, number, value)
        for number, track in enumerate(tracks)
        for step, value in zip(track.steps.tolist(), track.values.tolist(), strict=True)
    )
    now: dict[int, float] = {}
    grown: dict[int, float] = {}
    for step, number, value in rows:
        now[number] = value
        first = sum(float(tracks[one].values[0]) ** 2 for one in now)
        grown[step] = float(np.sqrt(sum(one**2 for one in now.values()) / first))
    return Track(
        name="weight.l2",
        where=replace(_OPTIMIZER, training=window.training.number),
        steps=np.asarray(list(grown), np.int64),
        values=np.asarray(list(grown.values()), np.float64),
        training=window.training.number,
        micros=np.zeros(len(grown), np.int64),
    )


def block_medians(values: NDArray[np.float64], blocks: int) -> Sequence[float]:
    """Medians of the finite values of that many neighbouring blocks; NaN for a block without any."""
    medians = []
    for block in np.array_split(values, blocks):
        finite = block[np.isfinite(block)]
        medians.append(float(np.median(finite)) if len(finite) else float("nan"))
    return medians


def _owner(place: Place) -> str:
    return place.parent if place.parent is not None else place.path.rpartition(".")[0]


_OPTIMIZER = Place(path="optimizer", kind="optimizer")
