"""Looks at the terms that the loss is the sum of: the `loss_terms` event and the series `loss.term`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from unbug.hooks import LossCall, node_time
from unbug.record.items import SAMPLED
from unbug.record.sight import TOLD_AT, Sight
from unbug.record.terms import Given, Sum, terms_of
from unbug.types import Phase, Place, Series

if TYPE_CHECKING:
    from unbug.record.budget import Item
    from unbug.record.core import Core
    from unbug.record.watched import Watched

__all__ = ["LossTerms"]

_ONE_TERM = 16.0
"""How much more rarely a loss is looked at that was no sum."""
_MOST_CHANGES, _MOST_GIVEN = 20, 64


class LossTerms:
    """Called by the step's eyes, while the recorder is awake."""

    def __init__(self, core: Core, sight: Sight) -> None:
        self._core, self._sight = core, sight
        self._given: dict[int, Given] = {}
        self._told: Counter[tuple[int, tuple[str, ...]]] = Counter()

    def loss(self, call: LossCall) -> None:
        """A loss function gave a value; kept until backward where its terms are to be looked at."""
        value = call.value
        if (
            value.grad_fn is None
            or value.numel() != 1
            or value.is_complex()
            or len(self._given) >= _MOST_GIVEN
        ):
            return
        time = node_time(value.grad_fn)
        if time >= 0:
            kept = value.item() if value.device.type == "cpu" else value.detach().reshape(()).clone()
            self._given[time] = Given(call.function, call.frame, kept)

    @property
    def wants_losses(self) -> bool:
        """Whether the terms of the step in progress are to be looked at."""
        current = self._core.current
        return current is not None and current.looks is not None and "terms" in current.looks.eyes

    def backward(self, watched: Watched, tensors: tuple[torch.Tensor, ...]) -> None:
        """Backward begins."""
        item = self._sight.planned("terms") if watched.looks is not None and watched.looks.eyes else None
        if item is not None:
            given, self._given = self._given, {}
            self._sight.look("terms", item, lambda: self._terms(watched, item, tensors, given))

    def close(self) -> None:
        """Let go of what is kept of the last steps."""
        self._given.clear()

    def _terms(
        self, watched: Watched, item: Item, tensors: tuple[torch.Tensor, ...], given: Mapping[int, Given]
    ) -> bool:
        loss = tensors[0] if len(tensors) == 1 else None
        if loss is None or loss.numel() != 1 or loss.is_complex():
            return True
        terms = terms_of(loss)
        item.weight = 1.0 if terms is not None and len(terms) > 1 else _ONE_TERM
        if terms is None or len(terms) < 2:
            return True
        found, number = Sum(terms, given), watched.training.number
        micro = max(self._core.progress.micro - 1, 0)
        values = [one.value for one in found.known]
        if loss.device.type == "cpu":
            numbers = [value for value in values if isinstance(value, float)]
            if len(numbers) == len(values):
                self._write_terms(number, found, [loss.item(), *numbers], micro)
            return True
        copies = [
            value for value in values if isinstance(value, torch.Tensor) and value.device == loss.device
        ]
        if len(copies) == len(values):
            vector = torch.stack([one.double() for one in (loss.detach().reshape(()), *copies)])
            step = watched.training.steps
            self._sight.fetch(vector, lambda got: self._write_terms(number, found, got, micro, step=step))
        return True

    def _write_terms(
        self, number: int, found: Sum, numbers: list[float], micro: int, *, step: int | None = None
    ) -> None:
        core = self._core
        row = found.row(numbers[0], numbers[1:])
        key = (number, tuple(found.names))
        if key in self._told or len(self._told) < _MOST_CHANGES:
            self._told[key] += 1
            if self._told[key] in TOLD_AT:
                core.event("loss_terms", found.fields(numbers[0], row), training=number, step=step)
        if row:
            place = Place(path="loss", kind="loss", training=number)
            series = [
                Series(name="loss.term", place=place, statistic=name, sampled=SAMPLED)
                for name in found.row_names
            ]
            group = core.writer.group(series)
            if step is None:
                core.rows.add(group, row, micro=micro)
            else:
                core.writer.row(
                    group,
                    row,
                    t_ns=core.clock_ns(),
                    training=number,
                    step=step,
                    micro=micro,
                    phase=Phase.TRAIN,
                )
