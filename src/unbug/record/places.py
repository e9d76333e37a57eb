"""Where things are: dotted paths of modules and parameters, as their author wrote them."""

from __future__ import annotations

import linecache
import re
import sys
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch

from unbug.hooks import cell_name
from unbug.record.refs import TensorRef, ref
from unbug.record.wrappers import children, unwrap
from unbug.types import Place

__all__ = ["Map", "build_map", "source_of", "variable_names"]

_FIELDS = tuple(one.name for one in fields(Place))
_LIBRARIES = ("torch.", "torch", "transformers.", "lightning.", "torchvision.", "builtins")


@dataclass(slots=True)
class Map:
    """Places of one training, by identity of module or parameter.

    `owner` gives, for a parameter's place path, the class of the module that holds it.
    """

    modules: dict[int, Place] = field(default_factory=dict)
    parameters: dict[int, Place] = field(default_factory=dict)
    references: dict[int, weakref.ref[Any] | TensorRef] = field(default_factory=dict)

    def module(self, module: torch.nn.Module) -> Place | None:
        """Place of a module that is part of the training."""
        ref = self.references.get(id(module))
        return self.modules.get(id(module)) if ref is not None and ref() is module else None

    def parameter(self, tensor: torch.Tensor) -> Place | None:
        """Place of a parameter that is part of the training."""
        ref = self.references.get(id(tensor))
        return self.parameters.get(id(tensor)) if ref is not None and ref() is tensor else None

    def in_order(self) -> list[Place]:
        """All places, in network order."""
        return sorted((*self.modules.values(), *self.parameters.values()), key=lambda place: place.order)

    def fields(self) -> dict[str, Any]:
        """The `places` event."""
        return {"places": [{name: getattr(place, name) for name in _FIELDS} for place in self.in_order()]}


def build_map(
    roots: Iterable[tuple[str, torch.nn.Module]],
    loose: Iterable[tuple[str, torch.Tensor]],
    *,
    training: int,
    seen: dict[int, int],
) -> Map:
    """Name everything in a training.

    Args:
        roots: Name and module. The only root lends its name to itself alone, several to all that they hold.
        loose: Name and tensor of optimised parameters that no module holds.
        seen: Order of each module's first forward by `id`; modules that are not in it follow the one before.
    """
    found = Map()
    drafts: list[tuple[int, int, bool, int, Place]] = []
    named = list(roots)
    for name, root in named:
        prefix = name if len(named) > 1 else ""
        _walk(unwrap(root), prefix, None, training, found, drafts, seen, [-1], name)
    for name, tensor in loose:
        if id(tensor) not in found.parameters:
            place = _parameter_place(name, tensor, training, None)
            found.parameters[id(tensor)] = place
            found.references[id(tensor)] = ref(tensor)
            drafts.append((sys.maxsize, len(drafts), True, id(tensor), place))
    for order, (_, _, is_parameter, key, _) in enumerate(sorted(drafts, key=lambda draft: draft[:2])):
        table = found.parameters if is_parameter else found.modules
        table[key] = replace(table[key], order=order)
    return found


def _walk(
    module: torch.nn.Module,
    path: str,
    parent: str | None,
    training: int,
    found: Map,
    drafts: list[tuple[int, int, bool, int, Place]],
    seen: dict[int, int],
    last: list[int],
    name_of_root: str = "",
) -> None:
    known = found.modules.get(id(module))
    if known is not None:
        if path not in (known.path, *known.aliases):
            found.modules[id(module)] = replace(known, aliases=(*known.aliases, path))
        return
    rank = seen.get(id(module), last[0]) if not children(module) else last[0]
    last[0] = rank
    kind = type(module)
    here = path or name_of_root
    place = Place(
        path=here,
        kind="module",
        training=training,
        class_name=f"{kind.__module__}.{kind.__qualname__}",
        source=source_of(kind),
        parent=parent,
    )
    found.modules[id(module)] = place
    found.references[id(module)] = weakref.ref(module)
    drafts.append((rank, len(drafts), False, id(module), place))
    for name, tensor in module._parameters.items():
        if tensor is None:
            continue
        full = f"{path}.{name}" if path else name
        held = found.parameters.get(id(tensor))
        if held is not None:
            if full != held.path and full not in held.aliases:
                found.parameters[id(tensor)] = replace(held, aliases=(*held.aliases, full))
            continue
        one = _parameter_place(full, tensor, training, here)
        found.parameters[id(tensor)] = one
        found.references[id(tensor)] = ref(tensor)
        drafts.append((rank, len(drafts), True, id(tensor), one))
    for name, child in children(module):
        inner = path if not name else f"{path}.{name}" if path else name
        _walk(child, inner, here if name else parent, training, found, drafts, seen, last)


def _parameter_place(path: str, tensor: torch.Tensor, training: int, parent: str | None) -> Place:
    shape: tuple[int, ...] = ()
    if not torch.nn.parameter.is_lazy(tensor):
        shape = tuple(int(size) for size in tensor.shape)
    return Place(
        path=path,
        kind="parameter",
        training=training,
        shape=shape,
        dtype=str(tensor.dtype).removeprefix("torch."),
        parent=parent,
    )


def source_of(kind: type) -> tuple[str, int] | None:
    """File and line of a class the user wrote; None for those of libraries."""
    if kind.__module__.startswith(_LIBRARIES):
        return None
    codes = [
        code
        for member in vars(kind).values()
        if (code := getattr(member, "__code__", None)) is not None
        and code.co_qualname.startswith(kind.__qualname__)
    ]
    lines = [code.co_firstlineno for code in codes]
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if not lines:
        return None
    if file is None:  # a class of a notebook
        cell = cell_name(codes[0].co_filename)
        return None if cell is None else (cell, max(min(lines) - 1, 1))
    pattern = re.compile(rf"\s*class\s+{re.escape(kind.__name__)}\b")
    text = linecache.getlines(file)
    for line in range(min(min(lines), len(text)), 0, -1):
        if pattern.match(text[line - 1]):
            return file, line
    return file, min(lines)


def variable_names(modules: list[torch.nn.Module], given: Mapping[int, str]) -> list[str]:
    """A name for each root: the one given, its variable in `__main__`, or its class; unique by a number.

    Args:
        given: Names by `id`.
    """
    main = sys.modules.get("__main__")
    held = dict(given)
    for name, value in list(vars(main).items()) if main is not None else ():
        if not name.startswith("_") and issubclass(type(value), torch.nn.Module):
            held.setdefault(id(value), name)
    names: list[str] = []
    for module in modules:
        inner = unwrap(module)
        name = held.get(id(module)) or held.get(id(inner)) or type(inner).__name__
        same = sum(one == name or one.rpartition("-")[0] == name for one in names)
        names.append(f"{name}-{same + 1}" if same else name)
    return names
