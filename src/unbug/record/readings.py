"""Looks at one tensor: its statistics and, now and then, its exponents become rows."""

from __future__ import annotations

import math
from collections import Counter

import torch

from unbug.numerics import Scratch
from unbug.record.device import device_statistics, device_summary, finish_statistics, finish_summary
from unbug.record.items import DataSlot, Groups, ModuleSlot, ParameterSlot, saturation_scale
from unbug.record.rows import Later, Rows
from unbug.record.tensors import Statistics, Unseen, at_hand, statistics_of, summary_of

__all__ = ["Readings", "sum_of_squares"]


class Readings:
    """Reads tensors, and has what it read written.

    Args:
        unseen: Why tensors could not be looked at, with how often; shared by all trainings.
    """

    def __init__(self, *, groups: Groups, rows: Rows, scratch: Scratch, unseen: Counter[str]) -> None:
        self._groups, self._rows, self._scratch, self._unseen = groups, rows, scratch, unseen
        self.taken: Counter[str] = Counter()

    def read(
        self,
        slot: ParameterSlot | ModuleSlot | DataSlot,
        quantity: str,
        tensor: torch.Tensor,
        micro: int,
        *,
        exponents: bool,
        module: torch.nn.Module | None = None,
        scale: float = 1.0,
    ) -> Statistics | None:
        """Look at a tensor, now and then at its exponents too; None where a device has yet to deliver."""
        self.taken[quantity] += 1
        limits = slot.limits if isinstance(slot, ModuleSlot) else None
        times = saturation_scale(module, tensor) if module is not None and limits is not None else 1.0
        try:
            if tensor.is_sparse:
                if not at_hand(tensor) and not tensor.is_coalesced():
                    raise Unseen("sparse: to add its entries up would wait for the device")
                tensor = tensor.coalesce().values()
                self._unseen[f"{quantity}: sparse, all but its stored values"] += 1
            exponents = exponents and quantity != "input" and tensor.is_floating_point()
            if not at_hand(tensor):
                self._on_device(slot, quantity, tensor, micro, limits, (scale, times), exponents=exponents)
                return None
            if not exponents:
                found = statistics_of(tensor, self._scratch, limits=limits)
            else:
                found, packed = summary_of(tensor, self._scratch, limits=limits)
                self._rows.add(self._groups.exponents(slot.groups, slot.place, quantity), packed, micro=micro)
                self.taken[f"{quantity}.exponents"] += 1
        except Unseen as why:
            self._unseen[f"{quantity}: {why}"] += 1
            return None
        except torch.OutOfMemoryError:
            self._unseen[f"{quantity}: no memory left on the device"] += 1
            return None
        if scale != 1.0 or times != 1.0:
            found = tuple(_scaled(list(found), scale, times))
        self._rows.add(self._groups.statistics(slot.groups, slot.place, quantity), found, micro=micro)
        return found

    def _on_device(
        self,
        slot: ParameterSlot | ModuleSlot | DataSlot,
        quantity: str,
        tensor: torch.Tensor,
        micro: int,
        limits: tuple[float, float] | None,
        factors: tuple[float, float],
        *,
        exponents: bool,
    ) -> None:
        """Queue a look at a tensor of a device; its rows are written once it has delivered."""
        group = self._groups.statistics(slot.groups, slot.place, quantity)
        if not exponents:
            vector = device_statistics(tensor, limits=limits)
            self._rows.add(
                group, Later(vector, lambda got: _scaled(finish_statistics(got), *factors)), micro=micro
            )
            return
        vector = device_summary(tensor, limits=limits)
        later = Later(vector, lambda got: _scaled(finish_summary(got)[0], *factors))
        self._rows.add(group, later, micro=micro)
        packed = self._groups.exponents(slot.groups, slot.place, quantity)
        self._rows.add(packed, later.also(lambda got: finish_summary(got)[1]), micro=micro)
        self.taken[f"{quantity}.exponents"] += 1


def sum_of_squares(found: Statistics) -> float:
    """Sum of squares from stored statistics; infinite where an element is not finite."""
    count, mean, m2, nans, infs = found[0], found[1], found[2], found[6], found[7]
    if nans or infs:
        return math.inf
    return m2 + count * mean * mean if count else 0.0


def _scaled(values: list[float], scale: float, times: float) -> list[float]:
    """Statistics of `scale` times the elements; each saturated one counted `times` times."""
    values[1] *= scale
    values[2] *= scale * scale
    values[3], values[4] = values[3] * scale, values[4] * scale
    values[8] *= times
    return values
