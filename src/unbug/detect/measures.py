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
    norms = {track.place: track for track in matrices(window, "weight.l2")}
    over: dict[int, list[tuple[float, float]]] = {}
    tracks = matrices(window, numerator)
    for track in tracks:
        if track.place in norms:
            steps, value, norm = joined(track, norms[track.place])
            with np.errstate(all="ignore"):
                part = value * norm if relative else value
            for step, one, weight in zip(steps.tolist(), part.tolist(), norm.tolist(), strict=True):
                if weight > 0:
                    over.setdefault(step, []).append((one, weight))
    if not over:
        return None
    # A step counts if it recorded half as many weights as any step before it: later ones change nothing.
    full, most = [], 0
    for step in sorted(over):
        most = max(most, len(over[step]))
        if 2 * len(over[step]) >= most:
            full.append(step)
    pairs = [np.asarray(over[step]) for step in full]
    with np.errstate(all="ignore"):
        values = [float(np.sqrt(np.sum(p[:, 0] ** 2) / np.sum(p[:, 1] ** 2))) for p in pairs]
    return Track(
        name=numerator,
        where=replace(_OPTIMIZER, training=window.training.number),
        steps=np.asarray(full, np.int64),
        values=np.asarray(values, np.float64),
        sampled=tracks[0].sampled,
        training=window.training.number,
        micros=np.zeros(len(full), np.int64),
    )


def weight_growth(window: Window) -> Track | None:
    """2-norm over all weights over what it was when each was first recorded, at each step that recorded half
    as many of them as any step before.

    Returns:
        A track at place `optimizer`, beginning with 1; None where nothing was recorded.
    """
    over: dict[int, list[tuple[float, float]]] = {}
    for track in matrices(window, "weight.l2"):
        for step, value in zip(track.steps.tolist(), track.values.tolist(), strict=True):
            over.setdefault(step, []).append((value, float(track.values[0])))
    full, values, most = [], [], 0
    for step in sorted(over):
        now, first = (float(np.sqrt(np.sum(np.square(column)))) for column in zip(*over[step], strict=True))
        most = max(most, len(over[step]))
        if 2 * len(over[step]) >= most and first > 0:
            full.append(step)
            values.append(now / first)
    if not full:
        return None
    return Track(
        name="weight.l2",
        where=replace(_OPTIMIZER, training=window.training.number),
        steps=np.asarray(full, np.int64),
        values=np.asarray(values, np.float64),
        training=window.training.number,
        micros=np.zeros(len(full), np.int64),
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
