"""Act when the program has imported torch, without importing it. Loads nothing but `sys`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["forget", "when_loaded"]


class _Loader:
    """Stands in for a module's loader until the module is executed, and leaves no trace of itself."""

    def __init__(self, finder: _Finder, loader: Any) -> None:
        self._finder, self._loader = finder, loader

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        try:
            self._loader.exec_module(module)
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise  # adds no frame: the traceback is as without us
        try:
            self._finder.loaded()
        except BaseException as error:
            error.__traceback__ = None  # an interrupt: nothing else comes out of it
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Finder:
    """First on `sys.meta_path` until the module has been loaded."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name, self._action, self._looking = name, action, False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._name or self._looking:
            return None
        self._looking = True
        try:
            for finder in sys.meta_path:
                find: Any = None if finder is self else getattr(finder, "find_spec", None)
                spec = None if find is None else find(name, path, target)
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        spec.loader = _Loader(self, spec.loader)
                    return spec
        finally:
            self._looking = False
        return None

    def loaded(self) -> None:
        forget(self)
        self._action()


def when_loaded(name: str, action: Callable[[], None]) -> object:
    """Call `action` right after the module is executed for the first time, at once if it has been already.

    Returns what `forget` takes.
    """
    finder = _Finder(name, action)
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, finder)
    return finder


def forget(finder: object) -> None:
    """Do not act any more. Idempotent."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
