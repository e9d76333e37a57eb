"""Modules and parameters found among all live objects: parents never called, and what was there when."""

from __future__ import annotations

import weakref

import torch

from unbug.hooks import living
from unbug.record.roots import Owned, owned

__all__ = ["live_modules", "parameters_now", "topmost"]


def live_modules() -> list[torch.nn.Module]:
    """Every module there is. Looks at types only, so that no property of a proxy is run; some 30 ms."""
    return [module for module in living(torch.nn.Module) if "_modules" in module.__dict__]


def parameters_now() -> Owned:
    """All parameters that some module holds now."""
    return owned(
        parameter
        for module in live_modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )


def topmost(roots: list[torch.nn.Module]) -> dict[int, torch.nn.Module]:
    """For each root the module that encloses it and is itself in no other; the root where none does.

    Lightning calls a part of the module that the user wrote; agents hold networks that are called one by one.

    Returns:
        The enclosing module by `id` of the root.
    """
    parents: dict[int, list[weakref.ref[torch.nn.Module]]] = {}
    for module in live_modules():
        for child in module._modules.values():
            if child is not None:
                parents.setdefault(id(child), []).append(weakref.ref(module))
    found: dict[int, torch.nn.Module] = {}
    for root in roots:
        top, seen = root, {id(root)}
        while True:
            holders = [
                one for ref in parents.get(id(top), ()) if (one := ref()) is not None and id(one) not in seen
            ]
            if len(holders) != 1:
                break
            top = holders[0]
            seen.add(id(top))
        found[id(root)] = top
    return found
