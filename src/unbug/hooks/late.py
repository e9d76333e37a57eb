"""Taps in libraries that the program may import: put in when it has, taken out again; never imported by us.

Until a module is loaded, a finder stands first on `sys.meta_path`, which finds nothing by itself: it asks the
other finders. The spec that they found tells when the import system marks the module as complete: it is run
by its own loader, with no frame of ours on the stack. A library that is not installed, is broken or is hidden
by a file of the program's is found, or fails, as it does without unbug.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import linecache
import os
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import CellType, FunctionType
from typing import Any

from unbug.hooks.interrupts import from_signal
from unbug.hooks.spec import ALL, Spec
from unbug.hooks.table import Patch, Table
from unbug.hooks.tap import TapError, make_tap

__all__ = ["Late", "innermost"]

_LazyModule = getattr(importlib.util, "_LazyModule", None)
"""Of `importlib.util.LazyLoader`: to look into it would load it."""
Specs = Callable[[], Sequence[Spec]]


class Late:
    """The taps in other libraries than torch's core, from `install` until `remove`.

    Args:
        families: By full module name, what is tapped once that module has been executed. `Spec.name` begins
            with the module's name; what it names is looked up in the module.
        fault: Told once of each call into ours that failed; it is off from then on.
    """

    def __init__(self, families: Mapping[str, Specs], *, fault: Callable[[str, Exception], None]) -> None:
        self._families, self._fault = dict(families), fault
        self._table = Table()
        self._calls: list[Callable[..., Any]] = []
        self._live: list[list[Callable[..., Any]]] = []
        self._lock = threading.RLock()
        self._finder: _Finder | None = None

    def install(self) -> None:
        """Tap what is loaded, and wait for the rest. Idempotent."""
        if self._finder is not None:
            return
        finder = self._finder = _Finder(self._families, self._loaded)
        sys.meta_path.insert(0, finder)
        _alive.add(self)
        for name in self._families:
            module = sys.modules.get(name)
            if _is_ready(module):
                self._loaded(name)
            elif module is not None:  # it is being imported now
                _watch(module.__spec__, self._loaded)

    def remove(self) -> None:
        """Restore everything and wait for nothing any more. Idempotent."""
        finder, self._finder = self._finder, None
        if finder is not None:
            finder.forget()
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)
        _alive.discard(self)
        with self._lock:
            self._table.undo()
            for live in self._live:  # calls that are under way tell nothing any more
                live[0] = _nothing

    def patches(self) -> list[Patch]:
        """The taps so far; those that could not be put in place say why."""
        return self._table.rows()

    def _loaded(self, module: str) -> None:
        """Tap what a module defines. Nothing that goes wrong here reaches the program."""
        with self._lock:
            if self._finder is None or not self._finder.done(module):
                return
            known, collecting = set(linecache.cache), gc.isenabled()
            gc.disable()  # parsing makes many objects; a full collection would take longer than all the rest
            try:
                for spec in self._families[module]():
                    self._tap(module, spec)
                if module == "torch":
                    self._keep_dynamo_out()
            except Exception as error:
                if from_signal(error):
                    raise
                self._fault(f"taps of {module}", error)
            finally:
                if collecting:
                    gc.enable()
                for file in set(linecache.cache) - known:
                    linecache.cache.pop(file, None)  # sources of libraries are long

    def _tap(self, module: str, spec: Spec) -> None:
        try:
            path = spec.name.removeprefix(f"{module}.")
            function = innermost(_look_up(module, path), path)
            if function.__module__.partition(".")[0] != module.partition(".")[0]:
                raise TapError(f"{function.__module__} has put another function in its place")
            leave, names = spec.leave, spec.leave_names
            if names == ALL:
                raise TapError("its parameters must be named")
            tapped = make_tap(
                function,
                enter=self._guarded(spec.name, spec.enter),
                leave=self._guarded(spec.name, leave),
                enter_names=spec.enter_names,
                leave_names=names,
            )
        except Exception as error:
            reason = str(error) or type(error).__name__
            self._table.refused(spec.name, spec.what, spec.guard, reason)
        else:
            self._table.tap(spec.name, spec.what, spec.guard, function, tapped)

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The call, such that it raises nothing but interrupts, and is off once it failed."""
        if function is Spec.enter:
            return _nothing
        live = [function]
        self._live.append(live)

        def call(*arguments: Any) -> Any:
            try:
                return live[0](*arguments)
            except Exception as error:
                if from_signal(error):
                    raise
                live[0] = _nothing
                self._failed(name, error)
                return None

        self._calls.append(call)
        self._calls.append(function)
        if _is_ready(sys.modules.get("torch")):
            from unbug.hooks.shims import outside_dynamo

            outside_dynamo(function)
            return outside_dynamo(call)
        return call

    def _keep_dynamo_out(self) -> None:
        """Of what was tapped before torch was there."""
        from unbug.hooks.shims import outside_dynamo

        for call in self._calls:
            outside_dynamo(call)

    def _failed(self, name: str, error: Exception) -> None:
        try:
            self._fault(name, error)
        except Exception:
            return
        finally:
            error.__traceback__ = None  # its frames hold what the program gave


def innermost(function: Any, name: str) -> FunctionType:
    """What the decorators around a function end in.

    Args:
        name: Its qualified name; by it the function is found in a decorator that does not tell what it wraps.
    """
    function = getattr(function, "__func__", function)
    while hasattr(function, "__wrapped__"):
        function = getattr(function.__wrapped__, "__func__", function.__wrapped__)
    if not isinstance(function, FunctionType):
        raise TapError(f"it is a {type(function).__name__}, not written in Python")
    for cell in function.__closure__ or () if function.__qualname__ != name else ():
        held = _content(cell)
        if isinstance(held, FunctionType) and held.__qualname__ == name:
            return held
    return function


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _nothing(*_: Any) -> None: ...


def _look_up(module: str, name: str) -> Any:
    found: Any = sys.modules[module]
    for part in name.split("."):
        if not hasattr(found, part):
            raise TapError(f"this version has no {name.rpartition('.')[2]!r} there")
        found = getattr(found, part)
    return found


def _is_ready(module: Any) -> bool:
    """Whether a module is loaded, to its end."""
    return module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False)


class _Finder:
    """First on `sys.meta_path` while a module is waited for."""

    def __init__(self, names: Mapping[str, Any], loaded: Callable[[str], None]) -> None:
        self._names, self._loaded = dict.fromkeys(names), loaded
        self._looking: set[tuple[str, int]] = set()

    def done(self, name: str) -> bool:
        """Wait for this one no more; whether it was waited for."""
        return self._names.pop(name, self) is not self

    def forget(self) -> None:
        """Wait for nothing."""
        self._names.clear()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._names:
            return None
        here = (name, threading.get_ident())
        if here in self._looking:
            return None
        self._looking.add(here)
        try:
            for finder in sys.meta_path:
                find: Any = None if finder is self else getattr(finder, "find_spec", None)
                spec = None if find is None else find(name, path, target)
                if spec is not None:
                    _watch(spec, self._loaded)
                    return spec
        finally:
            self._looking.discard(here)
        return None


def _watch(spec: Any, loaded: Callable[[str], None]) -> None:
    """Have a spec tell when its module is complete, as the import system notes in it, and be itself again."""
    own: Any = type(spec)

    def noted(self: Any, name: str, value: Any) -> None:
        own.__setattr__(self, name, value)
        if name == "_initializing" and value is False:
            self.__class__ = own
            whole: str = self.name
            module = sys.modules.get(whole)
            if type(module) is not _LazyModule and getattr(module, "__spec__", None) is self:
                loaded(whole)

    with contextlib.suppress(TypeError):  # a finder's own kind of spec that cannot be one of these
        members = {"__setattr__": noted, "__module__": own.__module__, "__qualname__": own.__qualname__}
        spec.__class__ = type(own.__name__, (own,), members)


_alive: weakref.WeakSet[Late] = weakref.WeakSet()


def _after_fork() -> None:
    for late in list(_alive):
        late._lock = threading.RLock()
        late.remove()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
