"""Steps done twice: a later attempt that began at an earlier step takes the place of what was there.

Where attempt 1 resumed training 0 at step 500, the rows of attempt 0 from step 500 on are superseded, also
those of steps that attempt 1 has not reached (yet): a curve then shows one history, not two in turn. The rows
stay in the run; readers leave them out unless all attempts are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.store.tail import Part

if TYPE_CHECKING:
    from unbug.store.source import Source

__all__ = ["Cut", "cuts_of", "kept"]

Cut = Mapping[int, int]
"""For the trainings of one attempt, the step from which on a later attempt counts."""


def cuts_of(sources: Iterable[Source], folded: Mapping[int, int]) -> Mapping[int, Cut]:
    """The cut of each attempt that has one; empty for a run of one attempt.

    Args:
        folded: Number of each training that is part of another, and of which.
    """
    by_attempt: dict[int, list[Source]] = {}
    for source in sources:
        by_attempt.setdefault(source.attempt, []).append(source)
    if len(by_attempt) < 2:
        return {}
    parts: dict[int, list[int]] = {}
    for part, root in folded.items():
        parts.setdefault(root, []).append(part)
    found: dict[int, Cut] = {}
    later: dict[int, int] = {}
    for attempt in sorted(by_attempt, reverse=True):
        if later:
            found[attempt] = {
                number: step for root, step in later.items() for number in (root, *parts.get(root, ()))
            }
        for source in by_attempt[attempt]:
            for training, step in source.first_steps().items():
                root = folded.get(training, training)
                later[root] = min(later.get(root, step), step)
    return found


def kept(part: Part, cut: Cut) -> Part:
    """The rows that no later attempt took the place of."""
    mask = np.ones(len(part.step), np.bool_)
    for training, step in cut.items():
        mask &= (part.training != training) | (part.step < step)
    if mask.all():
        return part
    columns: tuple[Any, ...] = part
    return Part(*(column[mask] for column in columns))
