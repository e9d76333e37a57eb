"""What is kept for probes: batches of a model, and the model they were given to."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from unbug.record.kept_links import KeptLoss

__all__ = ["KeptBatch", "KeptModel", "next_told"]

_RECENT = 2


def next_told(count: int) -> int:
    """The first of 1, 2, 5, 10, 20, 50, … above a number."""
    power = 1
    while True:
        for mantissa in (1, 2, 5):
            if mantissa * power > count:
                return mantissa * power
        power *= 10


@dataclass(slots=True, eq=False)
class KeptBatch:
    """One call of a model: copies of its arguments, and the loss that was computed of its output.

    Args:
        step: Of the training, when it was given.
        train_mode: Whether the model was in training mode.
        rows: Of a batch of `longest` rows only so many were kept; None if all were.
        loader_rows: Examples that a data loader had put together for it; None if none did.
        losses: How many losses were computed before the model was called again.
        labels: One whole number for each example that came with them in an evaluation; or `wanted`, numbers.
        told_by: Where these come from, `loader` or `names` of the program; empty where a loss was computed.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    step: int
    train_mode: bool
    rows: int | None = None
    longest: int = 0
    loader_rows: int | None = None
    output_shapes: tuple[tuple[int, ...], ...] = ()
    loss: KeptLoss | None = None
    losses: int = 0
    labels: torch.Tensor | None = None
    wanted: torch.Tensor | None = None
    told_by: str = ""


@dataclass(slots=True, eq=False)
class KeptModel:
    """One model of the training with its batches, oldest first.

    Args:
        root: Weak; `held` keeps a small model alive.
        due: Call of the training at which the next batch is kept.
        optimizer: Class, and the options of its first group without the parameters.
        small: Batches of the first calls; `recent` the last ones that were kept; `evaluated` those that it
            was given in evaluation.
        why_not: Why batches could not be kept, in words; empty if they could.
    """

    root: weakref.ref[torch.nn.Module]
    held: torch.nn.Module | None
    training: int
    calls: int = 0
    due: int = 0
    evaluations: int = 0
    held_bytes: int = 0
    small: list[KeptBatch] = field(default_factory=list)
    recent: deque[KeptBatch] = field(default_factory=lambda: deque(maxlen=_RECENT))
    evaluated: list[KeptBatch] = field(default_factory=list)
    optimizer: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None
    why_not: str = ""
