"""Finding the rules: every file under `rules/`, then plug-ins. Nothing else lists them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from unbug.detect.declaration import API_VERSION, Rule
from unbug.errors import UnknownRuleError

__all__ = ["GROUP", "broken", "load", "rule", "rules"]

GROUP = "unbug.detectors"
"""Entry points of this group name a module, or a package of modules, that is written like our own rules."""


def rules() -> tuple[Rule, ...]:
    """All rules, ours and those of plug-ins, by code."""
    return _all()[0]


def broken() -> tuple[str, ...]:
    """Plug-ins that were skipped, each with the reason."""
    return _all()[1]


def rule(code: str) -> Rule:
    """The rule with this code or name.

    Raises:
        UnknownRuleError: there is none.
    """
    known = {one.code.lower(): one for one in rules()} | {one.name: one for one in rules()}
    if found := known.get(code.lower()):
        return found
    near = difflib.get_close_matches(code.lower(), known, n=3, cutoff=0.5)
    raise UnknownRuleError(code, tuple(dict.fromkeys(known[name].code for name in near)))


@cache
def _all() -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    return load(entry_points(group=GROUP))


def load(plugins: Iterable[EntryPoint]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Our rules and those of the given entry points; the second part says which were skipped and why.

    A module of a plug-in states `UNBUG_API = 1` and has rules made by `detector`, whose codes carry a prefix.
    """
    found = {one.code: one for one in _of_package("unbug.detect.rules")}
    skipped = []
    for plugin in plugins:
        try:
            theirs = list(_foreign(plugin))
            taken = [one.code for one in theirs if one.code in found]
            if taken:
                raise ValueError(f"its codes are taken: {', '.join(taken)}")
            found.update({one.code: one for one in theirs})
        except Exception as error:  # a plug-in may fail in any way at all, and must not stop ours
            skipped.append(f"detector plug-in {plugin.name!r} ({plugin.value}) skipped: {error}")
    return tuple(sorted(found.values(), key=lambda one: ("-" in one.code, one.code))), tuple(skipped)


def _foreign(plugin: EntryPoint) -> Iterator[Rule]:
    module = plugin.load()
    version = getattr(module, "UNBUG_API", None)
    if version != API_VERSION:
        raise ValueError(
            f"it is written for version {version} of the detector API, this is version {API_VERSION}"
        )
    origin = plugin.dist.name if plugin.dist is not None else plugin.name
    for one in _of_package(module.__name__):
        if "-" not in one.code:
            raise ValueError(f"its code {one.code!r} lacks a prefix such as `acme-`")
        if told := one.complaints():
            raise ValueError(f"{one.code}: {'; '.join(told)}")
        yield replace(one, origin=origin)


def _of_package(name: str) -> Iterator[Rule]:
    """Rules of a module and, if it is a package, of all below it."""
    module = importlib.import_module(name)
    yield from (value for value in vars(module).values() if isinstance(value, Rule))
    for below in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield from _of_package(f"{name}.{below.name}")
