"""The trainings of a run, as its writers stated them; those that are part of another are folded into it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.types import Event, Training

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TrainingIndex"]

_FIELDS = frozenset(field.name for field in fields(Training))


class TrainingIndex:
    """Which trainings there are, and under which numbers each was recorded.

    Args:
        events: Of kind `training`, in order of time.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        every = _stated(events)
        self.folded: dict[int, int] = {}
        """Number of each training that is part of another, and of which."""
        for number in every:
            seen, root = {number}, number
            while (same := every[root].same_as) is not None and same in every:
                if same in seen:  # They claim to be each other: the first one stands for all.
                    root = min(seen)
                    break
                root = same
                seen.add(root)
            if root != number:
                self.folded[number] = root
        self.trainings = tuple(every[number] for number in sorted(every) if number not in self.folded)

    def members(self, training: int | None) -> NDArray[np.int32] | None:
        """The numbers under which a training was recorded."""
        if training is None:
            return None
        parts = (part for part, root in self.folded.items() if root == training)
        return np.array([training, *parts], np.int32)

    def unfolded(self, training: NDArray[Any]) -> NDArray[np.int64]:
        """Numbers as recorded, as those of the trainings they are part of."""
        out = training.astype(np.int64)
        for part, root in self.folded.items():
            out[training == part] = root
        return out


def _stated(events: Iterable[Event]) -> dict[int, Training]:
    found: dict[int, tuple[Training, int]] = {}
    for event in events:
        given = {name: value for name, value in event.fields.items() if name in _FIELDS}
        try:
            given["optimizers"] = tuple(given.get("optimizers", ()))
            training = Training(**given)
        except TypeError:
            continue
        counts = (training.number, training.steps, training.parameters, training.same_as or 0)
        if not all(isinstance(count, int) for count in counts):
            continue
        known, attempt = found.get(training.number, (None, event.attempt))
        if known is not None and (
            attempt > event.attempt
            or (attempt == event.attempt and event.rank and known.steps >= training.steps)
        ):
            continue
        found[training.number] = training, event.attempt
    return {number: training for number, (training, _) in found.items()}
