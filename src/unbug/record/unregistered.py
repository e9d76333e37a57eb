"""Tensors with gradient that a model uses and no module registers: in a plain list, dict or attribute."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from unbug.record.places import source_of
from unbug.record.refs import TensorRef, ref
from unbug.record.roots import Owned, same
from unbug.record.watched import Watched

__all__ = ["Unregistered", "is_due"]

_AT = (0, 1, 2, 100)
_EVERY = 1000
_MOST_LISTED = 50
_MOST_ITEMS = 1000
_DEPTH = 2
_STANDARD = frozenset(vars(torch.nn.Module()))
_TENSORS = (torch.Tensor, torch.nn.Parameter)
"""Exact types: an attribute of a subclass may run the program's code when it is asked for anything."""

Held = tuple[str, torch.nn.Module | torch.Tensor]


def is_due(step: int) -> bool:
    """Whether a look at a step also looks for these."""
    return step in _AT or step % _EVERY == 0


class Unregistered:
    """Finds them among the attributes of a training's modules, and among the modules that ran inside these.

    One is told of from the second look on that finds it with a gradient: it is a tensor that lasts, no
    activation or input that the program keeps for a while.
    """

    def __init__(self) -> None:
        self._versions: dict[int, tuple[TensorRef, int]] = {}

    def look(
        self, watched: Watched, roots: Iterable[torch.nn.Module], optimised: Iterable[Owned]
    ) -> list[dict[str, Any]]:
        """What is used and not registered, one entry for an attribute.

        Args:
            roots: All that have run, also those of other trainings.
            optimised: Parameters of each optimizer there is.
        """
        modules = {id(root): root for root in roots}
        trees = [dict(top.named_modules()) for top in watched.live_roots()]
        trees = [tree for tree in trees if any(id(module) in modules for module in tree.values())]
        modules |= {id(inner): inner for root in list(modules.values()) for inner in root.modules()}
        modules |= {id(module): module for tree in trees for module in tree.values()}
        registered = {id(one) for module in modules.values() for one in module._parameters.values()}
        known = set(modules)
        tables = list(optimised)
        entries: list[dict[str, Any]] = []
        versions: dict[int, tuple[TensorRef, int]] = {}
        for path, owner, name, held in self._held(watched, trees, known):
            parts = [one for _, one in held if isinstance(one, torch.nn.Module)]
            candidates = [one for _, one in held if isinstance(one, torch.Tensor)]
            candidates += [one for part in parts for one in part.parameters()]
            tensors = [one for one in candidates if id(one) not in registered and _has_grad(one)]
            lasting = [one for one in tensors if self._before(one) is not None]
            changed = any(one._version != self._before(one) for one in lasting)
            versions |= {id(one): (ref(one), one._version) for one in tensors}
            registered |= {id(one) for one in tensors}
            if lasting and len(entries) < _MOST_LISTED:
                classes = sorted({type(one).__name__ for one in parts}) or ["Tensor"]
                file, line = _line(owner, name)
                entries.append({
                    "path": path,
                    "attribute": name,
                    "classes": classes[:5],
                    "count": len(lasting),
                    "elements": sum(one.numel() for one in lasting),
                    "changed": changed,
                    "in_optimizer": any(same(table, one) for table in tables for one in lasting),
                    "file": file,
                    "line": line,
                })  # fmt: skip
        self._versions = versions
        return entries

    def _before(self, tensor: torch.Tensor) -> int | None:
        """The version that a tensor had at the look before; None if it was not there."""
        reference, version = self._versions.get(id(tensor), (None, 0))
        return version if reference is not None and reference() is tensor else None

    @staticmethod
    def _held(
        watched: Watched, trees: list[dict[str, torch.nn.Module]], known: set[int]
    ) -> Iterator[tuple[str, type, str, list[Held]]]:
        """`(path, class of the owner, attribute, what it holds)`; then what ran and no attribute holds."""
        for tree in trees:
            for where, module in tree.items():
                place = watched.map.module(module) if watched.map is not None else None
                prefix = where if place is None or not where else place.path
                for name in vars(module).keys() - _STANDARD:
                    held = list(_inside(vars(module)[name], known))
                    if held:
                        known |= {id(part) for _, one in held for part in _modules(one)}
                        yield f"{prefix}.{name}" if prefix else name, type(module), name, held
        for key in tuple(watched.first.order):
            ran = watched.first.module(key)
            if ran is not None and id(ran) not in known:
                known |= {id(part) for part in ran.modules()}
                yield type(ran).__name__, type(ran), "", [("", ran)]


def _inside(value: object, known: set[int], depth: int = _DEPTH) -> Iterator[Held]:
    """Tensors, and modules that no module registers, in an attribute: itself, or in lists and dicts."""
    if isinstance(value, torch.nn.Module):
        if id(value) not in known:
            yield "", value
    elif type(value) in _TENSORS:
        assert isinstance(value, torch.Tensor)
        yield "", value
    elif depth and type(value) in (list, tuple, dict) and 0 < len(value) <= _MOST_ITEMS:  # type: ignore[arg-type]
        items = value.values() if isinstance(value, dict) else value
        for item in items:  # type: ignore[attr-defined]
            yield from _inside(item, known, depth - 1)


def _modules(one: torch.nn.Module | torch.Tensor) -> Iterator[torch.nn.Module]:
    if isinstance(one, torch.nn.Module):
        yield from one.modules()


def _has_grad(tensor: torch.Tensor) -> bool:
    return type(tensor) in _TENSORS and tensor.requires_grad and tensor.is_leaf and tensor.grad is not None


def _line(owner: type, name: str) -> tuple[str, int]:
    """Where an attribute is assigned in its class; the class where that is not found."""
    source = source_of(owner)
    if source is None:
        return "", 0
    file, first = source
    text = linecache.getlines(file)
    margin = len(text[first - 1]) - len(text[first - 1].lstrip()) if 0 < first <= len(text) else 0
    if name:
        pattern = re.compile(rf"\s*self\.{re.escape(name)}\s*(:[^=]+)?=[^=]")
        for line in range(first + 1, len(text) + 1):
            code = text[line - 1]
            if (
                code.strip()
                and len(code) - len(code.lstrip()) <= margin
                and not code.lstrip().startswith("#")
            ):
                break
            if pattern.match(code):
                return file, line
    return file, first
