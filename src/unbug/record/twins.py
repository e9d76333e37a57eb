"""Copies of the trained model that run beside it, and whether they follow it: the `twins` event.

A copy has the class and the shapes of a module that an optimizer holds, while no optimizer holds any of its
own parameters: a teacher, a target network, a moving average. Of each a few elements are remembered.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.roots import same
from unbug.record.tensors import local, reason_unseen

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.sight import Sight
    from unbug.record.watched import Watched

__all__ = ["Twins", "is_due"]

_AT = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
_EVERY = 1000
_FOUND_UNTIL = 2
"""Last step at which a copy is taken note of: one that is made later keeps a state on purpose, the best."""
_MOST_MODULES, _MOST_TWINS, _MOST_TENSORS, _ELEMENTS = 400, 4, 4, 16
_LEVELS = 2


def is_due(step: int) -> bool:
    """Whether copies are looked at in a step."""
    return step in _AT or (step > 0 and step % _EVERY == 0)


@dataclass(slots=True, eq=False)
class _Twin:
    """A copy, the module it is a copy of, and what it was when it was found."""

    ref: weakref.ref[torch.nn.Module]
    student: weakref.ref[torch.nn.Module]
    name: str
    student_name: str
    begun: torch.Tensor
    since: int
    looked: bool = False
    copied: bool = False
    changed: bool = False


class Twins:
    """Those of all trainings."""

    def __init__(self, core: Core, sight: Sight) -> None:
        self._core, self._sight = core, sight
        self._known: dict[int, list[_Twin]] = {}
        self._begun: dict[int, dict[tuple[Any, ...], tuple[torch.Tensor, str]]] = {}

    def look(self, watched: Watched, *, ended: int = 0) -> None:
        """The optimizer is about to step; or no step comes any more, where `ended` is 1."""
        training = watched.training
        known = self._known.setdefault(training.number, [])
        step = max(training.steps - ended, 0)
        if training.steps <= _FOUND_UNTIL and not ended:
            known += list(self._new(watched, known))[: _MOST_TWINS - len(known)]
        numbers, twins = [], []
        for twin in known:
            module, student = twin.ref(), twin.student()
            now = _elements(module) if module is not None else None
            other = _elements(student) if student is not None else None
            if now is None or other is None or now.shape != twin.begun.shape != other.shape:
                continue
            with torch.no_grad():
                numbers += [(now - twin.begun).abs().max(), (twin.begun - other).abs().max()]
            twins.append(twin)
        if twins:
            vector = torch.stack(numbers)
            self._sight.fetch(vector, lambda got: self._tell(training.number, step, twins, got))

    def close(self) -> None:
        """Look a last time."""
        for number, known in list(self._known.items()):
            watched = self._core.watched.get(number)
            if watched is not None:
                self.look(watched, ended=1)
                if not known:
                    self._idle_copies(watched)
        self._sight.poll(wait=True)
        self._known.clear()
        self._begun.clear()

    def _idle_copies(self, watched: Watched) -> None:
        """Copies that ran only after the training, and are still what the model was before it."""
        begun = self._begun.get(watched.training.number, {})
        told = []
        for module, name, key, mine in self._parts():
            student = begun.get(key) if mine == 0 else None
            now = _elements(module) if student is not None else None
            if student is None or now is None or now.shape != student[0].shape:
                continue
            if bool((now.cpu() == student[0].cpu()).all()):
                fields = {"module": name, "student": student[1], "copied": True, "changed": False}
                told.append({**fields, "since": 0, "student_moved": True})
        if told:
            step = max(watched.training.steps - 1, 0)
            self._core.event("twins", {"twins": told[:1]}, training=watched.training.number, step=step)

    def _tell(self, number: int, step: int, twins: list[_Twin], got: list[float]) -> None:
        told: list[dict[str, Any]] = []
        for index, twin in enumerate(twins):
            twin.changed = twin.changed or got[2 * index] > 0
            if not twin.looked:
                twin.looked = True
                twin.copied = got[2 * index + 1] == 0
            told.append(
                {
                    "module": twin.name,
                    "student": twin.student_name,
                    "copied": twin.copied,
                    "changed": twin.changed,
                    "since": twin.since,
                    "student_moved": got[2 * index + 1] > 0,
                }
            )
        self._core.event("twins", {"twins": told}, training=number, step=step)

    def _new(self, watched: Watched, known: list[_Twin]) -> Iterator[_Twin]:
        students: dict[tuple[Any, ...], tuple[torch.nn.Module, str]] = {}
        copies: list[tuple[tuple[Any, ...], torch.nn.Module, str]] = []
        for module, name, key, mine in self._parts():
            if mine == len(key[1]):
                students.setdefault(key, (module, name))
            elif not mine:
                copies.append((key, module, name))
        if not watched.training.steps:
            kept = self._begun.setdefault(watched.training.number, {})
            for key, (module, name) in list(students.items())[:_MOST_TWINS]:
                elements = _elements(module)
                if elements is not None and elements.numel() >= _ELEMENTS:
                    kept[key] = elements, name
        inside = {
            id(part) for twin in known if (module := twin.ref()) is not None for part in module.modules()
        }
        for key, module, name in copies:
            if key in students and id(module) not in inside:
                student, student_name = students[key]
                begun = _elements(module)
                inside.update(id(one) for one in module.modules())
                if begun is not None and begun.numel() >= _ELEMENTS:
                    yield _Twin(
                        weakref.ref(module),
                        weakref.ref(student),
                        name,
                        student_name,
                        begun,
                        watched.training.steps,
                    )

    def _parts(self) -> Iterator[tuple[torch.nn.Module, str, tuple[Any, ...], int]]:
        """Modules with parameters: name, class and shapes, and how many of the parameters are optimised."""
        core = self._core
        held = [training.parameters for training in core.trainings.all]
        held += [state.parameters for state in core.trainings.waiting()]
        for module, name in self._modules():
            parameters = list(module.parameters())
            if parameters:
                mine = sum(any(same(table, one) for table in held) for one in parameters)
                yield module, name, (type(module), tuple(tuple(one.shape) for one in parameters)), mine

    def _modules(self) -> Iterator[tuple[torch.nn.Module, str]]:
        """Roots, the largest modules first, then what they are made of."""
        roots = [(module, root.class_name) for root in self._core.roots.alive() if (module := root.ref())]
        level, count = roots, 0
        for _ in range(_LEVELS + 1):
            below: list[tuple[torch.nn.Module, str]] = []
            for module, name in level:
                count += 1
                if count > _MOST_MODULES:
                    return
                yield module, name
                below += [(child, f"{name}.{path}") for path, child in module.named_children()]
            level = below


def _elements(module: torch.nn.Module) -> torch.Tensor | None:
    """A few elements of a module's parameters, copied; None where they cannot be read."""
    parts = []
    with torch.no_grad():
        for parameter in list(module.parameters())[:_MOST_TENSORS]:
            tensor = local(parameter).detach()
            if reason_unseen(tensor) or not tensor.is_floating_point():
                return None
            parts.append(tensor.reshape(-1)[:_ELEMENTS].float().clone())
        if not parts or len({part.device for part in parts}) != 1:
            return None
        return torch.cat(parts)
