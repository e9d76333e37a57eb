"""Tells of a training's layers before its first step, and of its graph's wiring at two steps or three."""

from __future__ import annotations

import gc
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from unbug.hooks import user_frame
from unbug.record.layers import layers_of
from unbug.record.lines import line_in_classes, loss_line
from unbug.record.wiring import is_due, wiring_of

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.sight import Sight
    from unbug.record.watched import Watched

__all__ = ["Structure"]

_MOST_WALKS = 2
_MOST_TRAININGS = 16
_MOST_S = 0.1
"""No walk begins once they took so long: the allowance for the first steps is that of all looks."""
_PLAIN = ("weight", "bias")
_WRITTEN = {
    "views": r"\b(view|reshape|flatten|unflatten|rearrange)\b",
    "squashed_twice": r"(?i)\b(log_?)?(sigmoid|softmax)\b",
    "softmaxes": r"(?i)\b(log_?)?softmax\b",
    "norms": r"\b(normalize|norm)\b",
    "drops": r"(?i)dropout",
}
"""Facts of the network -> words of the line that makes them."""


class Structure:
    """Writes the `layers` and `wiring` events. Asks for nothing but what is there."""

    def __init__(self, core: Core, sight: Sight) -> None:
        self._core, self._sight = core, sight
        self._walks: dict[tuple[int, int], int] = {}
        self._batch = 0
        self._spent_s = 0.0
        self._told: set[int] = set()

    def before_step(self, watched: Watched) -> None:
        """The primary optimizer is about to step."""
        if watched.training.steps == 0:
            self._tell_layers(watched)

    def backward(self, watched: Watched, tensors: tuple[torch.Tensor, ...]) -> None:
        """Backward begins at these."""
        training = watched.training
        if not is_due(training.steps) or training.number >= _MOST_TRAININGS:
            return
        key = training.number, training.steps
        self._tell_layers(watched)  # where a closure steps, there was no time before
        walks = self._walks.get(key, 0)
        if walks < _MOST_WALKS and self._spent_s < _MOST_S:
            self._walks[key] = walks + 1
            before, self._batch = self._batch if walks else 0, self._core.progress.batch
            batch = self._batch - before
            start = perf_counter()
            self._sight.safely("wiring", lambda: self._wiring(watched, tensors, batch))
            self._spent_s += perf_counter() - start

    def _tell_layers(self, watched: Watched) -> None:
        number = watched.training.number
        if number not in self._told and number < _MOST_TRAININGS:
            self._told.add(number)
            self._sight.safely("layers", lambda: self._layers(watched))

    def _layers(self, watched: Watched) -> None:
        fields = layers_of(watched)
        if fields is not None:
            training = watched.training
            self._core.event("layers", fields, training=training.number, step=training.steps)

    def _wiring(self, watched: Watched, tensors: tuple[torch.Tensor, ...], batch: int) -> None:
        found = watched.map

        def place(tensor: torch.Tensor) -> str:
            known = found.parameter(tensor) if found is not None else None
            if known is None:
                return ""
            module, _, name = known.path.rpartition(".")
            return module if module and name in _PLAIN else known.path

        collects = gc.isenabled()
        gc.disable()  # thousands of small objects for a moment: a collection would take longer than the walk
        try:
            fields = wiring_of(tensors, place, batch)
        finally:
            if collects:
                gc.enable()
        if fields is not None:
            self._add_lines(watched, fields)
            self._core.event("wiring", fields, training=watched.training.number, step=watched.training.steps)

    @staticmethod
    def _add_lines(watched: Watched, fields: dict[str, Any]) -> None:
        """Say where the loss is computed, and where what was found is written."""
        source = loss_line(user_frame())
        if source is not None:
            fields |= {"file": source[0], "line": source[1]}
        modules = [module for root in watched.live_roots() for module in root.modules()]
        for name, pattern in _WRITTEN.items():
            for one in fields[name]:
                near = str(one.get("place") or "")
                written = line_in_classes(_nearest(watched, modules, near), pattern)
                if written is not None:
                    one |= {"file": written[0], "line": written[1]}


def _nearest(watched: Watched, modules: list[torch.nn.Module], path: str) -> list[type]:
    """Classes of the modules, those that hold a path first, the innermost of these before."""
    ranked = []
    for module in modules:
        place = watched.map.module(module) if watched.map is not None else None
        held = place is not None and (place.parent is None or f"{path}.".startswith(f"{place.path}."))
        depth = len(place.path) if place is not None and held and place.parent is not None else 0
        ranked.append((not held, -depth, type(module)))
    return list(dict.fromkeys(kind for _, _, kind in sorted(ranked, key=lambda one: one[:2])))
