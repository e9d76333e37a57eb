"""Know the moment at which the program has imported torch; a program that never does is never made to."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

__all__ = ["TorchArrival"]


class _Loader(importlib.abc.Loader):
    """Stands before torch's own loader for one import, and leaves no trace of itself."""

    def __init__(self, own: importlib.abc.Loader, arrived: Callable[[], None]) -> None:
        self._own, self._arrived = own, arrived

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        self._arrived()


class TorchArrival(importlib.abc.MetaPathFinder):
    """Calls once, right after the import of torch is done, or at once if it is there already."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self.arrived = False

    def watch(self) -> None:
        """Begin to wait."""
        if getattr(sys.modules.get("torch"), "optim", None) is not None:
            self._now()
        else:
            sys.meta_path.insert(0, self)

    def forget(self) -> None:
        """Stop waiting. Idempotent."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Everything but torch is left to the other finders."""
        if name != "torch":
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
                spec.loader = _Loader(spec.loader, self._now)
                return spec
        return None

    def _now(self) -> None:
        self.forget()
        if not self.arrived:
            self.arrived = True
            self._call()
