"""Looks at parameters, gradients, updates and module outputs of one training, as the budget planned them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from time import perf_counter_ns

import torch

from unbug.numerics import Scratch
from unbug.record.budget import Item, Rotation
from unbug.record.device import device_norm, finish_difference
from unbug.record.items import DataSlot, Groups, ModuleSlot, ParameterSlot, first_examples
from unbug.record.readings import Readings, sum_of_squares
from unbug.record.rows import Later, OfNumbers, Rows
from unbug.record.tensors import Statistics, Unseen, at_hand, local, reason_unseen, squares_of
from unbug.record.update import Before

__all__ = ["Looks"]

_EXPONENTS_EVERY = 4
"""Looks of one item of which one takes the exponents along: for the disk's sake, since the kernel counts them
on the way."""

_EYES = {"features": 2.0, "terms": 1.0, "gradient.pair": 2.0, "module.time": 8.0}
"""Looks that `record.eyes` takes, and how much more rarely than others."""
_PARAMETER_KINDS = ("weight", "grad", "update")


class Looks:
    """The looks of one training.

    Args:
        unseen: Why tensors could not be looked at, with how often; shared by all trainings.
    """

    def __init__(
        self,
        parameters: list[ParameterSlot],
        modules: list[ModuleSlot],
        *,
        groups: Groups,
        rows: Rows,
        scratch: Scratch,
        unseen: Counter[str],
        data: DataSlot,
        visit_ns: float = 2_000.0,
    ) -> None:
        self.parameters, self.modules = parameters, modules
        self.data = data
        self.rotation = Rotation()
        self._groups, self._rows, self._scratch, self._unseen = groups, rows, scratch, unseen
        self._readings = Readings(groups=groups, rows=rows, scratch=scratch, unseen=unseen)
        self._items: dict[tuple[str, int], Item] = {}
        self._before = Before()
        self.planned_ns = 0.0
        self._left_ns = math.inf
        self._wanted_modules: dict[int, tuple[ModuleSlot, Item]] = {}
        self._wanted: dict[str, list[tuple[ParameterSlot, Item]]] = {}
        self._norm: Item | None = None
        self._input: Item | None = None
        self._visit_ns = visit_ns * max(len(modules), 1)
        for slot in parameters:
            for kind in _PARAMETER_KINDS:
                self._new(kind, slot.number, 1.0)
        for module in modules:
            self._new("activation", module.number, 1.0)
        self._new("norm", 0, 1.0)
        self._new("input", 0, 2.0)
        self.eyes: dict[str, Item] = {}
        for kind, weight in _EYES.items():
            self._new(kind, 0, weight)
        self.rotation.add(self._items.values())

    def _new(self, kind: str, key: int, weight: float) -> None:
        self._items[kind, key] = Item(kind, key, weight=weight)

    @property
    def taken(self) -> Counter[str]:
        """Looks taken, by kind."""
        return self._readings.taken

    @taken.setter
    def taken(self, taken: Counter[str]) -> None:
        self._readings.taken = taken

    def wanted(self, module: torch.nn.Module) -> bool:
        """Whether this module's output is to be looked at in this step."""
        return id(module) in self._wanted_modules

    @property
    def wants_modules(self) -> bool:
        """Whether the step in progress has modules still to be looked at."""
        return bool(self._wanted_modules) or "module.time" in self.eyes

    @property
    def wants_parameters(self) -> bool:
        """Whether the step in progress has parameters to be looked at."""
        return bool(self._wanted) or self._norm is not None

    @property
    def wants_any(self) -> bool:
        """Whether anything is planned for the step in progress."""
        return bool(self._wanted_modules or self._wanted or self._norm or self._input or self.eyes)

    def plan(self, items: Iterable[Item], at_most_ns: float = math.inf) -> None:
        """Look at these in the next step, and at nothing else; at parameters for `at_most_ns` at the most."""
        self.drop()
        self._left_ns = at_most_ns
        for item in items:
            self.planned_ns += item.cost_ns
            if item.kind == "norm":
                self._norm = item
            elif item.kind == "input":
                self._input = item
            elif item.kind in _EYES:
                self.eyes[item.kind] = item
            elif item.kind == "activation":
                slot = self.modules[item.key]
                module = slot.ref()
                if module is not None:
                    self._wanted_modules[id(module)] = slot, item
            else:
                self._wanted.setdefault(item.kind, []).append((self.parameters[item.key], item))

    def drop(self) -> None:
        """Look at nothing more in this step."""
        self._wanted_modules.clear()
        self._wanted.clear()
        self.eyes.clear()
        self.planned_ns = 0.0
        self._norm = self._input = None
        self._before.clear()

    def module_output(self, module: torch.nn.Module, output: torch.Tensor, micro: int) -> None:
        """A module of the training gave an output."""
        wanted = self._wanted_modules.pop(id(module), None)
        if wanted is None:
            return
        slot, item = wanted
        start = perf_counter_ns()
        tensor = first_examples(local(output))
        self._read(slot, item, tensor, micro, module=module)
        shared = self._visit_ns if self._visit_ns < item.cost_ns * 64 else 0.0
        item.measured(perf_counter_ns() - start + shared)

    def input(self, tensor: torch.Tensor, micro: int) -> None:
        """A root module is given this."""
        item, self._input = self._input, None
        if item is None:
            return
        start = perf_counter_ns()
        self._read(self.data, item, first_examples(local(tensor)), micro)
        item.measured(perf_counter_ns() - start)

    def take_early(self, early: Iterable[tuple[int, Statistics, int]]) -> None:
        """Outputs that were looked at before the modules had names: `id`, statistics, micro."""
        by_id = {id(module): slot for slot in self.modules if (module := slot.ref()) is not None}
        for key, found, micro in early:
            slot = by_id.get(key)
            if slot is not None:
                group = self._groups.statistics(slot.groups, slot.place, "activation")
                self._rows.add(group, found, micro=micro)
                self.taken["activation"] += 1

    def before_step(self, belongs: Callable[[torch.Tensor], bool], step: int, micro: int) -> None:
        """An optimizer is about to change the parameters that `belongs` accepts."""
        self._each("weight", belongs, micro, lambda tensor: tensor)
        for slot, item in self._wanted.get("update", ()):
            tensor = slot.ref()
            if tensor is not None and belongs(tensor):
                start = perf_counter_ns()
                reason = self._before.keep(slot.number, local(tensor), step)
                if reason:
                    self._unseen[f"update: {reason}"] += 1
                item.begun_ns = perf_counter_ns() - start

    def gradients(self, belongs: Callable[[torch.Tensor], bool], micro: int, *, scale: float = 1.0) -> None:
        """The gradients are as the optimizer gets them; `scale` undoes what it has not undone itself."""
        squares = self._each("grad", belongs, micro, _grad, scale=scale)
        norm, self._norm = self._norm, None
        if norm is not None:
            start = perf_counter_ns()
            value = squares if squares is not None else self._squares(belongs)
            if value is not None:
                group = self._groups.norm(self.parameters[0].place.training, clipped=False)
                times = 1.0 if squares is not None else scale
                if isinstance(value, torch.Tensor):
                    number = self._rows.gathered.take(value)
                    row = OfNumbers([number], lambda got: [got[0] * times])
                    self._rows.add(group, row, micro=micro)
                else:
                    self._rows.add(group, [math.sqrt(value) * times], micro=micro)
                self.taken["norm"] += 1
            norm.measured(perf_counter_ns() - start)

    def after_step(self, belongs: Callable[[torch.Tensor], bool], micro: int) -> None:
        """The optimizer has changed them."""
        for slot, item in self._wanted.get("update", ()):
            tensor = slot.ref()
            if tensor is None or self._left_ns < 0 or not belongs(tensor):
                continue
            start = perf_counter_ns()
            found = self._before.difference(slot.number, local(tensor), self._scratch)
            if found is not None:
                group = self._groups.statistics(slot.groups, slot.place, "update")
                late = isinstance(found, torch.Tensor)
                self._rows.add(group, Later(found, finish_difference) if late else found, micro=micro)
                self.taken["update"] += 1
            spent = perf_counter_ns() - start
            self._left_ns -= spent
            item.measured(spent + item.begun_ns)

    def clipped(self) -> None:
        """The program computed the norm itself."""
        self._norm = None

    def _read(
        self,
        slot: ParameterSlot | ModuleSlot | DataSlot,
        item: Item,
        tensor: torch.Tensor,
        micro: int,
        *,
        module: torch.nn.Module | None = None,
        scale: float = 1.0,
    ) -> Statistics | None:
        exponents = item.looks % _EXPONENTS_EVERY == 0
        return self._readings.read(
            slot, item.kind, tensor, micro, exponents=exponents, module=module, scale=scale
        )

    def _each(
        self,
        kind: str,
        belongs: Callable[[torch.Tensor], bool],
        micro: int,
        pick: Callable[[torch.Tensor], torch.Tensor | None],
        *,
        scale: float = 1.0,
    ) -> float | None:
        """Look at one kind of thing for all wanted parameters; the sum of squares if all were seen."""
        squares, seen = 0.0, 0
        for slot, item in self._wanted.get(kind, ()):
            tensor = slot.ref()
            if tensor is None or not belongs(tensor):
                continue
            if self._left_ns < 0:
                self._unseen[f"{kind}: no time left in this step"] += 1
                continue
            start = perf_counter_ns()
            seen += 1
            picked = pick(tensor)
            if picked is None:
                continue
            found = self._read(slot, item, local(picked), micro, scale=scale)
            squares = squares + sum_of_squares(found) if found is not None else math.nan
            spent = perf_counter_ns() - start
            self._left_ns -= spent
            item.measured(spent)
        return squares if seen and seen == len(self.parameters) and not math.isnan(squares) else None

    def _squares(self, belongs: Callable[[torch.Tensor], bool]) -> float | torch.Tensor | None:
        """Sum of squares over all gradients, on one device its root; None where there is none."""
        total, seen = 0.0, False
        away: list[torch.Tensor] = []
        for slot in self.parameters:
            tensor = slot.ref()
            grad = tensor.grad if tensor is not None and belongs(tensor) else None
            if grad is None:
                continue
            grad = local(grad)
            if grad.is_complex():
                return None
            if not at_hand(grad):
                if reason_unseen(grad):
                    return None
                away.append(grad)
                continue
            seen = True
            try:
                total += squares_of(grad.coalesce().values() if grad.is_sparse else grad, self._scratch)
            except Unseen:
                return None
        if away and not seen and len({grad.device for grad in away}) == 1:
            return device_norm(away)
        return total if seen and not away else None


def _grad(tensor: torch.Tensor) -> torch.Tensor | None:
    return tensor.grad
