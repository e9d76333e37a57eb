"""One training with all that the recorder keeps about it; naming of its modules at its first step."""

from __future__ import annotations

import weakref

import torch

from unbug.record.grammar import Words
from unbug.record.looks import Looks
from unbug.record.parents import live_modules, topmost
from unbug.record.places import Map, build_map, variable_names
from unbug.record.roots import Root, overlap
from unbug.record.scalars import Scalars
from unbug.record.trainings import LiveTraining
from unbug.record.wrappers import unwrap
from unbug.store import Writer

__all__ = ["FirstPass", "Watched", "name_places"]


class FirstPass:
    """Modules in the order of their first output, and which of these only hand on what a child gave."""

    def __init__(self) -> None:
        self.order: dict[int, int] = {}
        self.own: dict[int, int] = {}
        self._refs: list[weakref.ref[torch.nn.Module]] = []
        self._last = -1

    def saw(self, module: torch.nn.Module, output: object) -> bool:
        """A module gave an output; true if it is the module's own and the first one."""
        key = id(module)
        same_as_last, self._last = id(output) == self._last, id(output)
        if key in self.order:
            return False
        self.order[key] = len(self.order)
        self._refs.append(weakref.ref(module))
        if same_as_last:
            return False
        self.own[key] = len(self.own)
        return True

    def module(self, key: int) -> torch.nn.Module | None:
        """The module of an `id`, if it is alive still."""
        return self._refs[self.order[key]]()


class Watched:
    """One training."""

    __slots__ = ("first", "looks", "map", "missing", "roots", "scalars", "training", "words")

    def __init__(self, training: LiveTraining, writer: Writer) -> None:
        self.training = training
        self.words = Words()
        self.first = FirstPass()
        self.scalars = Scalars(writer, training.number)
        self.map: Map | None = None
        self.looks: Looks | None = None
        self.roots: list[weakref.ref[torch.nn.Module]] = []
        self.missing = 0

    def live_roots(self) -> list[torch.nn.Module]:
        """The modules that the training's paths begin at."""
        return [module for ref in self.roots if (module := ref()) is not None]


def name_places(
    watched: Watched, roots: list[Root], first: FirstPass, *, given: dict[int, str], search: bool
) -> Map:
    """Name all modules and parameters of a training.

    Args:
        roots: Roots that are alive.
        given: Names that the user gave to modules, by `id`.
        search: Whether to look among all objects for modules that enclose the roots.
    """
    training = watched.training
    owners = [(root, module) for root in roots if (module := root.ref()) is not None]
    owners = [pair for pair in owners if overlap(pair[0].parameters, training.parameters)]
    tops: list[torch.nn.Module] = []
    enclosing = topmost([module for _, module in owners]) if search and owners else {}
    for _, module in owners:
        top = unwrap(enclosing.get(id(module), module))
        if not any(top is other for other in tops):
            tops.append(top)
    inside = {id(child) for top in tops for child in top.modules() if child is not top}
    tops = [top for top in tops if id(top) not in inside]
    names = variable_names(tops, given)
    held = {id(parameter) for top in tops for parameter in top.parameters()}
    if search and any(key not in held for key in training.parameters):
        tops += _holders(training, held)
        names = variable_names(tops, given)
        held = {id(parameter) for top in tops for parameter in top.parameters()}
    loose: list[tuple[str, torch.Tensor]] = []
    for key, reference in training.parameters.items():
        tensor = reference()
        if tensor is not None and key not in held:
            loose.append((f"parameter {len(loose)}", tensor))
    found = build_map(zip(names, tops, strict=True), loose, training=training.number, seen=first.order)
    watched.roots = [weakref.ref(top) for top in tops]
    watched.map = found
    watched.missing = len(loose)
    return found


def _holders(training: LiveTraining, held: set[int]) -> list[torch.nn.Module]:
    """Modules that hold optimised parameters though no forward of theirs was seen."""
    missing = {
        key
        for key, ref in training.parameters.items()
        if key not in held and isinstance(ref(), torch.nn.Parameter)
    }
    direct = [
        module
        for module in live_modules()
        if any(id(one) in missing for one in module._parameters.values() if one is not None)
    ]
    tops: list[torch.nn.Module] = []
    for top in topmost(direct).values() if direct else ():
        if not any(unwrap(top) is other for other in tops):
            tops.append(unwrap(top))
    return tops
