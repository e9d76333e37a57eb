"""Further looks at a training, each by budget and none of them needed by another. Here those at its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.answers import Answers
from unbug.record.barren import Barren
from unbug.record.inputs import Features, feature_sums
from unbug.record.kept_batches import KeptBatches
from unbug.record.loaders import loader_facts
from unbug.record.outputs import Outputs
from unbug.record.repeats import Repeats
from unbug.record.rows_seen import RowsSeen, Stream, row_hashes
from unbug.record.sides import Sides
from unbug.record.sight import TOLD_AT, Sight
from unbug.record.stepeyes import StepEyes
from unbug.record.tensors import first_tensor

if TYPE_CHECKING:
    from unbug.hooks import LossCall
    from unbug.record.core import Core
    from unbug.record.roots import Root

__all__ = ["Eyes"]

_ROWS_SHARE = 0.05
"""Of the budget's share: what the hashes of rows may cost once the first steps are over."""
_MOST_SPREAD = 64


class Eyes:
    """Called by the recorder while it is awake. `steps` has the looks at gradients, graphs and modules."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sight = Sight(core)
        self.steps = StepEyes(core, self._sight)
        self.kept = KeptBatches(core)
        self.sides = Sides(core)
        self._repeats = Repeats(core)
        self._answers = Answers(core, self.sides)
        self._outputs = Outputs(core)
        self._barren = Barren(core)
        self._features: dict[int, Features] = {}
        self._rows: dict[int, RowsSeen] = {}
        self._rows_ns = 50_000.0
        self._resting = -1

    # What the recorder tells.
    def given(self, tensor: torch.Tensor) -> None:
        """A root module is given its input, with grad mode on."""
        item = self._sight.planned("features")
        if item is not None:
            self._sight.look("features", item, lambda: self._feature_sums(tensor))

    def batch(self, loader: Any, batch: Any, *, grad: bool) -> None:
        """A loader delivered, or without loaders a root module is given its input (`loader` is None)."""
        if loader is not None:
            self.kept.loader(batch, grad=grad)
            self._barren.gave(loader)
        current = self._core.current
        if current is None or current.training.number != self._resting:
            self._sight.safely("rows", lambda: self._hash(loader, batch, grad=grad))

    def called(
        self,
        root: Root,
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        evaluates: bool,
    ) -> None:
        """A root module is about to run."""
        kept = self.kept
        if not kept.sleeps(module, evaluates=evaluates):
            self._or_none(lambda: kept.given(root, module, args, kwargs, evaluates=evaluates))

    def gave(self, module: torch.nn.Module, output: Any) -> None:
        """It gave its output, and that is waited for."""
        self._or_none(lambda: self.kept.output(module, output))

    def lost(self, call: LossCall) -> None:
        """A loss was computed, and that is waited for."""
        self._or_none(lambda: self.kept.loss(call))

    def _or_none(self, call: Callable[[], None]) -> None:
        if not self._sight.safely("kept batches", call):
            self.kept.let_go()

    def entered(
        self,
        root: Root,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        grad: bool,
        first: bool = True,
    ) -> None:
        """A root module is given its input, with gradients (`grad`) or surely in an evaluation."""
        self._sight.safely("given", lambda: self.sides.given(root, args, kwargs, grad=grad, first=first))
        if grad and first:
            self._sight.safely("repeats", lambda: self._repeats.given(args, kwargs))

    def left(self, output: Any) -> None:
        """The root module that was given its input last gave its output."""
        self._sight.safely("given", lambda: self.sides.left(output))

    def backward(self, losses: tuple[torch.Tensor, ...]) -> None:
        """Backward, or a call for gradients, begins at these."""
        self._sight.safely("given", lambda: self.sides.backward(losses))
        self._sight.safely("repeats", self._repeats.backward)

    def answered(self, output: Any) -> None:
        """A root module gave its output in an evaluation."""
        self._sight.safely("outputs", lambda: self._outputs.given(output))

    def compared(self, call: LossCall, *, grad: bool) -> None:
        """A loss was computed, in training (`grad`) or in evaluation."""
        self._sight.safely("answers", lambda: self._answers.loss(call, grad=grad))

    def exhausted(self, loader: Any) -> None:
        """A loader has given all."""
        self._sight.safely("exhausted", lambda: self._barren.exhausted(loader))
        current = self._core.current
        if current is None or current.training.number != self._resting:
            self._sight.safely("rows", lambda: self._epoch(loader))

    def close(self) -> None:
        """Tell how everything stands at the end."""
        self._sight.poll(wait=True)
        self.steps.close()
        self._sight.safely("given", self.sides.close)
        self._sight.safely("answers", self._answers.close)
        self._sight.safely("outputs", self._outputs.close)
        for number in self._features:
            self._tell_features(number, final=True)
        for number, seen in self._rows.items():
            if seen.streams:
                self._core.event("sampling", {**seen.fields(), "final": True}, training=number)

    # Inputs.
    def _feature_sums(self, tensor: torch.Tensor) -> bool:
        found = feature_sums(tensor)
        if found is None:
            return False
        shape, rows, sums = found
        number = self._core.number()
        known = self._features.get(number)
        if known is None:
            known = self._features[number] = Features(shape)
        if known.shape == shape:
            self._sight.fetch(sums, lambda got: self._merge(number, known, rows, got))
        return True

    def _merge(self, number: int, known: Features, rows: int, sums: list[float]) -> None:
        known.merge(rows, sums)
        if known.looks in TOLD_AT:
            self._tell_features(number)

    def _tell_features(self, number: int, **more: Any) -> None:
        self._core.event("input_features", {**self._features[number].fields(), **more}, training=number)

    # Rows.
    def _hash(self, loader: Any, batch: Any, *, grad: bool) -> None:
        core = self._core
        number = core.number()
        if number < 0:
            number = 0
        seen = self._rows.get(number)
        if seen is None:
            seen = self._rows[number] = RowsSeen()
        known = len(seen.streams)
        stream = seen.stream(loader, grad=grad, slept=core.slept)
        if len(seen.streams) > known and loader is not None:
            self._sight.safely("loader", lambda: self._tell_loader(loader, grad, stream))
        if stream is None:
            return
        spread = self._spread()
        if spread > _MOST_SPREAD:
            self._resting = number
        if spread > _MOST_SPREAD or stream.batches % (2 * spread) > 1:
            stream.skipped()
            return
        start = perf_counter_ns()
        tensor = first_tensor(batch)
        hashes = row_hashes(tensor) if tensor is not None else None
        if hashes is None:
            stream.skipped()
        else:
            seen.batch(stream, hashes)
            if stream.looked in TOLD_AT and stream.looked >= 10:
                core.event("sampling", seen.fields(), training=number)
        spent = perf_counter_ns() - start
        self._rows_ns += (min(spent, 4 * self._rows_ns) - self._rows_ns) * 0.25
        core.chosen_ns += spent

    def _tell_loader(self, loader: Any, grad: bool, stream: Stream | None) -> None:
        data = None if stream is None else stream.data
        self._core.event("loader", {"grad": grad, "data": data, **loader_facts(loader)})

    def _spread(self) -> int:
        """Two batches in twice so many are looked at, so that it stays a small part of the share."""
        budget = self._core.budget
        current = self._core.current
        if budget.every is not None or not budget.median_ns:
            return 1
        if current is None or budget.first_steps(current.training.steps):
            return 1
        pays = _ROWS_SHARE * budget.share * budget.median_ns
        spread = 1
        while self._rows_ns > pays * spread and spread <= _MOST_SPREAD:
            spread *= 2
        return spread

    def _epoch(self, loader: Any) -> None:
        seen = self._rows.get(max(self._core.number(), 0))
        if seen is None:
            return
        for grad in (True, False):
            stream = seen.known(loader, grad=grad)
            if stream is not None and torch.is_grad_enabled() is grad:
                stream.interrupted(self._core.slept)
                stream.exhausted()
