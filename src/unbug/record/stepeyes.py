"""Looks at the graph of the loss, at gradients of steps in a row, and at the time that modules take."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch

from unbug.hooks import LossCall
from unbug.record.afterwards import Afterwards
from unbug.record.barren_forwards import tell_untrained
from unbug.record.flat import Flat
from unbug.record.flat import is_due as is_flat_due
from unbug.record.items import SAMPLED
from unbug.record.lossterms import LossTerms
from unbug.record.moduletime import ModuleTimes
from unbug.record.pairs import SERIES, GradientPairs, Sample, owned_tensors
from unbug.record.reach import Reach, is_due
from unbug.record.roots import owned
from unbug.record.rows import Later
from unbug.record.schedulers import Schedulers
from unbug.record.sight import Sight
from unbug.record.structure import Structure
from unbug.record.twins import Twins
from unbug.record.twins import is_due as is_twins_due
from unbug.types import Place, Series

if TYPE_CHECKING:
    from unbug.record.budget import Item
    from unbug.record.core import Core
    from unbug.record.trainings import OptimizerState
    from unbug.record.watched import Watched

__all__ = ["StepEyes"]


class StepEyes:
    """Called by the recorder, while it is awake."""

    def __init__(self, core: Core, sight: Sight) -> None:
        self._core, self._sight = core, sight
        self._structure = Structure(core, sight)
        self._pairs: dict[int, GradientPairs] = {}
        self._pair_item: Item | None = None
        self._pair_ns = 0
        self._terms = LossTerms(core, sight)
        self._reach: dict[int, Reach] = {}
        self._times: ModuleTimes | None = None
        self._time_groups: dict[tuple[int, str], int] = {}
        self._schedulers, self._after = Schedulers(core), Afterwards(core, sight)
        self._twins, self._flat = Twins(core, sight), Flat(core)

    # The loss.
    def loss(self, call: LossCall) -> None:
        """A loss function gave a value; kept until backward where its terms are to be looked at."""
        self._terms.loss(call)

    @property
    def wants_losses(self) -> bool:
        """Whether the terms of the step in progress are to be looked at."""
        return self._terms.wants_losses

    def backward(self, tensors: tuple[torch.Tensor, ...]) -> None:
        """Backward begins."""
        watched = self._core.current
        if watched is None or watched.looks is None:
            return
        if is_due(watched.training.steps):
            self._sight.safely("reach", lambda: self._reach_of(watched).walk(tensors))
        self._structure.backward(watched, tensors)
        if is_flat_due(watched.training.steps):
            self._sight.safely("flat", lambda: self._flat.backward(watched, tensors))
        self._terms.backward(watched, tensors)

    def backward_ended(self) -> None:
        """Backward ended."""
        watched = self._core.current
        if watched is not None:
            self._after.backward_ended(watched)

    def scheduled(self, scheduler: Any) -> None:
        """The program stepped a scheduler."""
        self._sight.safely("scheduler", lambda: self._schedulers.stepped(scheduler))

    def _reach_of(self, watched: Watched) -> Reach:
        return self._reach.setdefault(watched.training.number, Reach())

    # Gradients.
    def before_step(self, watched: Watched, state: OptimizerState, *, scale: float) -> None:
        """The primary optimizer is about to step; its gradients are there."""
        training = watched.training
        if training.number in self._reach and is_due(training.steps):
            self._sight.safely("reach", lambda: self._compare(watched, state))
        self._structure.before_step(watched)
        self._after.before_step(watched, state)
        if is_twins_due(training.steps):
            self._sight.safely("twins", lambda: self._twins.look(watched))
        pairs = self._pairs.get(training.number)
        awaited = pairs is not None and pairs.awaits(training.steps)
        looks = watched.looks
        item = self._sight.planned("gradient.pair") if looks is not None and looks.eyes else None
        if item is not None or awaited:
            start = perf_counter_ns()
            if (
                not self._sight.safely("gradient.pair", lambda: self._before(watched, state, item, scale))
                and item
            ):
                item.weight, item.cost_ns = 64.0, 1_000.0
            self._pair_ns = perf_counter_ns() - start
            if item is None:
                self._core.chosen_ns += self._pair_ns
            self._pair_item = item

    def _before(self, watched: Watched, state: OptimizerState, item: Item | None, scale: float) -> bool:
        training = watched.training
        pairs = self._pairs.get(training.number)
        if pairs is None:
            sample = Sample(owned_tensors(state.parameters))
            if not sample.elements:
                return False
            pairs = self._pairs[training.number] = GradientPairs(sample)
        gradient = pairs.sample.take(lambda tensor: tensor.grad)
        if gradient is not None and scale != 1.0:
            gradient = gradient * scale
        products = pairs.products(gradient) if pairs.awaits(training.steps) else None
        if products is not None:
            self._pair_row(watched, pairs, products)
        weight = (
            pairs.sample.take(lambda tensor: tensor) if item is not None and gradient is not None else None
        )
        pairs.begins(training.steps, gradient, weight)
        return gradient is not None

    def _pair_row(self, watched: Watched, pairs: GradientPairs, products: torch.Tensor) -> None:
        core = self._core
        batch, place = (
            core.progress.batch,
            Place(path="optimizer", kind="optimizer", training=watched.training.number),
        )
        group = core.writer.group([Series(name=name, place=place, sampled=SAMPLED) for name in SERIES])
        if products.device.type == "cpu":
            core.rows.add(group, pairs.values(products.tolist(), batch), micro=0)
        else:
            core.rows.add(group, Later(products, lambda got: pairs.values(got, batch)), micro=0)
        if watched.looks is not None:
            watched.looks.taken["gradient.pair"] += 1

    def after_step(self, watched: Watched) -> None:
        """It has stepped."""
        pairs = self._pairs.get(watched.training.number)
        if pairs is not None and pairs.holds:
            start = perf_counter_ns()
            self._sight.safely("gradient.pair", lambda: pairs.made(pairs.sample.take(lambda tensor: tensor)))
            if self._pair_item is not None:
                # The step that follows takes as much again as this one had in front of it.
                self._pair_item.measured(2 * self._pair_ns + perf_counter_ns() - start)
                self._pair_item = None

    def _compare(self, watched: Watched, state: OptimizerState) -> None:
        core = self._core
        optimised = [one.parameters for one in core.trainings.all]
        optimised += [one.parameters for one in core.trainings.waiting()]
        registered = [owned(root.parameters()) for root in watched.live_roots()]
        registered += [root.parameters for root in core.roots.alive()]
        paths = (
            {} if watched.map is None else {key: place.path for key, place in watched.map.parameters.items()}
        )
        fields = self._reach_of(watched).compare(state.parameters, optimised, registered, paths)
        if fields is not None:
            core.event("reach", fields, training=watched.training.number, step=watched.training.steps)

    # Modules.
    @property
    def timing(self) -> bool:
        """Whether the forward pass in progress is timed."""
        return self._times is not None

    def forward_begins(self) -> None:
        """A root module of the training is about to run; called last."""
        current = self._core.current
        looks = current.looks if current is not None else None
        if looks is not None and "module.time" in looks.eyes:
            self._times = ModuleTimes()
            self._times.begins()

    def output(self, module: torch.nn.Module, at_ns: int) -> None:
        """A module gave an output; called last."""
        current, times = self._core.current, self._times
        if times is not None and current is not None and current.map is not None:
            times.output(current.map.module(module), at_ns)

    def forward_ended(self, module: torch.nn.Module, at_ns: int, *, raised: bool) -> None:
        """The root module ran."""
        self.output(module, at_ns)
        times, self._times = self._times, None
        item = self._sight.planned("module.time")
        if times is not None and item is not None and not raised:
            self._sight.look("module.time", item, lambda: self._write_times(times))
            item.cost_ns += 3_000.0 * len(times.places)

    def _write_times(self, times: ModuleTimes) -> bool:
        core = self._core
        number, groups = core.number(), self._time_groups
        for path, place in times.places.items():
            group = groups.get((number, path))
            if group is None:
                names = ("module.time_s", "module.own_time_s")
                series = [Series(name=name, place=place, unit="s", sampled=SAMPLED) for name in names]
                group = groups[number, path] = core.writer.group(series)
            values = [times.whole[path] / 1e9, times.own[path] / 1e9]
            core.rows.add(group, values, micro=max(core.progress.micro, 0))
        return bool(times.places)

    def close(self) -> None:
        """Let go of what is kept of the last steps."""
        self._sight.safely("untrained", lambda: tell_untrained(self._core))
        self._sight.safely("scheduler", self._schedulers.close)
        self._sight.safely("twins", self._twins.close)
        self._after.close()
        self._pairs.clear()
        self._terms.close()
        self._reach.clear()
