"""The parameters and modules of a training as places to look at, and the series that the looks write."""

from __future__ import annotations

import math
import weakref

import torch

from unbug.record.places import Map
from unbug.record.refs import ref
from unbug.record.roots import Owned
from unbug.store import Writer
from unbug.types import STORED_STATISTICS, Place, Series

__all__ = ["ACTIVATION_ELEMENTS", "SAMPLED", "DataSlot", "Groups", "ModuleSlot", "ParameterSlot",
           "first_examples", "limits_of", "saturation_scale", "slots"]  # fmt: skip

ACTIVATION_ELEMENTS = 262_144
"""Of a module's output at most about so many elements are looked at (the first examples of the batch)."""
SAMPLED = "by budget"
_MARGIN = 0.01


class ParameterSlot:
    """One optimised parameter. `groups` are numbers of the store by quantity, made at the first row."""

    __slots__ = ("groups", "number", "place", "ref")

    def __init__(self, number: int, tensor: torch.Tensor, place: Place) -> None:
        self.number, self.place = number, place
        self.ref = ref(tensor)
        self.groups: dict[str, int] = {}


class ModuleSlot:
    """One module whose output can be looked at."""

    __slots__ = ("groups", "limits", "number", "place", "ref")

    def __init__(self, number: int, module: torch.nn.Module, place: Place) -> None:
        self.number, self.place = number, place
        self.ref = weakref.ref(module)
        self.limits = limits_of(module)
        self.groups: dict[str, int] = {}


class DataSlot:
    """What the roots are given."""

    __slots__ = ("groups", "place")

    def __init__(self, training: int) -> None:
        self.place = Place(path="data", kind="data", training=training)
        self.groups: dict[str, int] = {}


class Groups:
    """Declares series with the store, once each."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def statistics(self, groups: dict[str, int], place: Place, quantity: str) -> int:
        """The group of a quantity's stored statistics; `update` has its ratio to the weight as a tenth."""
        number = groups.get(quantity)
        if number is None:
            names = [f"{quantity}.{name}" for name in STORED_STATISTICS]
            if quantity == "update":
                names.append("update.ratio")
            series = [Series(name=name, place=place, sampled=SAMPLED) for name in names]
            number = groups[quantity] = self._writer.group(series, kind="detail")
        return number

    def exponents(self, groups: dict[str, int], place: Place, quantity: str) -> int:
        """The group of a quantity's exponent histogram."""
        name = f"{quantity}.exponents"
        number = groups.get(name)
        if number is None:
            number = self._writer.group([Series(name=name, place=place, sampled=SAMPLED)], kind="blob")
            groups[name] = number
        return number

    def norm(self, training: int, *, clipped: bool) -> int:
        """The group of the global gradient norm; with the limit where the program clips."""
        place = Place(path="optimizer", kind="optimizer", training=training)
        sampled = "" if clipped else SAMPLED
        series = [Series(name="grad.global_norm", place=place, sampled=sampled)]
        if clipped:
            series.append(Series(name="clip.limit", place=place))
        return self._writer.group(series)


def slots(
    found: Map, parameters: Owned, modules: dict[int, int]
) -> tuple[list[ParameterSlot], list[ModuleSlot]]:
    """Slots of the optimised parameters and of the modules that were seen to run, in network order.

    Args:
        modules: By `id`, the modules whose output is their own (a container's last child gives the same one).
    """
    order = [(place.order, key, place) for key, place in found.parameters.items() if key in parameters]
    with_parameters = [(key, place) for _, key, place in sorted(order, key=lambda one: one[0])]
    holders: list[ParameterSlot] = []
    for key, place in with_parameters:
        tensor = parameters[key]()
        if tensor is not None and found.parameter(tensor) is not None:
            holders.append(ParameterSlot(len(holders), tensor, place))
    outputs: list[ModuleSlot] = []
    for key, place in sorted(found.modules.items(), key=lambda one: one[1].order):
        module = found.references[key]()
        if module is not None and key in modules:
            outputs.append(ModuleSlot(len(outputs), module, place))
    return holders, outputs


def limits_of(module: torch.nn.Module) -> tuple[float, float] | None:
    """Outputs at or beyond these count as saturated; None where the notion does not apply."""
    nn = torch.nn
    if isinstance(module, (nn.Sigmoid, nn.Hardsigmoid)):
        return _MARGIN, 1 - _MARGIN
    if isinstance(module, (nn.Tanh, nn.Softsign)):
        return -1 + _MARGIN, 1 - _MARGIN
    if isinstance(module, nn.Hardtanh) and not isinstance(module, nn.ReLU6):
        margin = _MARGIN * (module.max_val - module.min_val) / 2
        return module.min_val + margin, module.max_val - margin
    if isinstance(module, (nn.Softmax, nn.Softmax2d)):
        return -math.inf, 1 - _MARGIN
    return None


def saturation_scale(module: torch.nn.Module, output: torch.Tensor) -> float:
    """One output near 1 saturates its whole row of a softmax."""
    if isinstance(module, torch.nn.Softmax2d):
        return float(output.shape[-3])
    if isinstance(module, torch.nn.Softmax) and output.dim():
        dim = module.dim if module.dim is not None else -1
        return float(output.shape[dim])
    return 1.0


def first_examples(output: torch.Tensor) -> torch.Tensor:
    """The part of an output that is looked at."""
    if output.numel() <= ACTIVATION_ELEMENTS or not output.dim():
        return output
    each = output.numel() // output.shape[0]
    return output[: max(1, ACTIVATION_ELEMENTS // max(each, 1))]
