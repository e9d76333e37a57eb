"""What the events about data tell, in the form that rules ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.detect.loops import alternating
from unbug.detect.sites import loss_sites
from unbug.detect.structure import orders
from unbug.types import Phase, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.detect.window import Window

__all__ = ["answers", "first_layer", "given", "learns_from_examples", "numbers", "told_at"]

Fields = Mapping[str, Any]
_SINGLE, _ASKED = 8, 50
"""Examples in a batch below which, and batches from which on, an evaluation looks like acting."""


def given(window: Window, phase: str) -> tuple[tuple[int, Fields], ...]:
    """`(step, fields)` of what models were given in a phase, `train` or `eval`, as it was told."""
    return _of(window, "given", phase)


def answers(window: Window, phase: str) -> tuple[tuple[int, Fields], ...]:
    """`(step, fields)` of what was asked for and said in losses of a phase."""
    return _of(window, "answers", phase)


def numbers(fields: Fields, name: str) -> NDArray[np.float64]:
    """A list of numbers; NaN where one is null, empty where there is none."""
    found = fields.get(name)
    if not isinstance(found, (list, tuple)):
        return np.zeros(0)
    return np.asarray([np.nan if one is None else one for one in found], dtype=np.float64)


def learns_from_examples(window: Window) -> bool:
    """Whether losses compare with given targets: no several optimizers in turn, no loss of both signs, and no
    model that is asked for single examples without gradients while it learns (it acts)."""
    words = [word for _, word in orders(window)]
    busy = [word for word in words if word.count("F") > word.count("B")]
    loss = window.one("loss.value")
    if alternating(window) or len(busy) * 2 > len(words) or (loss is not None and (loss.values < 0).any()):
        return False
    if not loss_sites(window, phase=Phase.TRAIN):
        return False
    asked = [fields for _, fields in given(window, "eval")]
    return not any(
        int(one.get("batches") or 0) > _ASKED
        and int(one.get("rows_looked_at") or 0) < _SINGLE * int(one.get("batches_looked_at") or 0)
        for one in asked
    )


def told_at(fields: Fields) -> Source | None:
    """The line that an event names."""
    file, line = fields.get("file"), fields.get("line")
    return Source(file=str(file), line=int(line)) if file and line else None


def first_layer(window: Window) -> str:
    """Class of the first module with parameters, in network order; empty where none is known."""
    owners = [one.parent or one.path.rpartition(".")[0] for one in window.places if one.kind == "parameter"]
    classes = {one.path: one.class_name.rpartition(".")[2] for one in window.places if one.kind == "module"}
    return next((classes[owner] for owner in owners if classes.get(owner)), "")


def _of(window: Window, kind: str, phase: str) -> tuple[tuple[int, Fields], ...]:
    return tuple(
        (max(event.step, 0), event.fields)
        for event in window.events(kind)
        if event.fields.get("phase", event.phase.name.lower()) == phase
    )
