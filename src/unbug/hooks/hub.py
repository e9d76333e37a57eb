"""The hub: puts the taps in, tells one listener, takes the taps out."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import threading
import weakref
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import torch

from unbug.errors import InternalError
from unbug.hooks import shims
from unbug.hooks.contract import Listener, Nap
from unbug.hooks.heap import living, one_look
from unbug.hooks.kept import Kept
from unbug.hooks.on_backward import backward_taps
from unbug.hooks.on_capture import capture_taps
from unbug.hooks.on_forward import forward_taps
from unbug.hooks.on_loss import loss_taps
from unbug.hooks.on_optimizer import innermost, optimizer_taps
from unbug.hooks.on_process import process_taps
from unbug.hooks.spec import ALL, Spec
from unbug.hooks.table import Patch, Table
from unbug.hooks.tap import TapError, Tapped, make_tap
from unbug.hooks.telling import Teller

__all__ = ["Hub"]

_lock = threading.Lock()
_installed: weakref.ref[Hub] | None = None
_fork_seen = False


class Hub:
    """Tells a listener what happens in this process, from `install` until `remove`.

    One hub can be installed at a time. In a forked child the hub is removed before the child's first line.
    """

    def __init__(self, listener: Listener) -> None:
        self._teller = Teller(listener)
        self._table = Table()
        self._kept: Kept | None = None
        self._forward: tuple[FunctionType, Tapped] | None = None
        self._watch_forwards = True
        self._optimizers_live = True

    @property
    def watch_modules(self) -> bool:
        """Whether outputs of inner modules are told now. Cheap to change."""
        return self._teller.watch_modules

    @watch_modules.setter
    def watch_modules(self, wanted: bool) -> None:
        self._teller.watch_modules = wanted

    @property
    def dozing(self) -> bool:
        """Whether only optimizer steps, backward calls and losses of evaluations are told now."""
        return self._teller.dozing

    @dozing.setter
    def dozing(self, wanted: bool) -> None:
        self._teller.dozing = wanted

    @property
    def nap(self) -> Nap | None:
        """What is told in place of the listener where it can be; see `contract.Nap`."""
        return self._teller.nap

    @nap.setter
    def nap(self, wanted: Nap | None) -> None:
        self._teller.nap = wanted

    @property
    def watch_forwards(self) -> bool:
        """Whether modules are watched at all; if not, calling one costs what it costs without unbug.

        To be changed between forward passes: one that is under way is told as it began.
        """
        return self._watch_forwards

    @watch_forwards.setter
    def watch_forwards(self, wanted: bool) -> None:
        self._watch_forwards = wanted
        if self._forward is not None:
            function, tapped = self._forward
            there, wished = (tapped.original, tapped.code) if wanted else (tapped.code, tapped.original)
            if function.__code__ is there:
                function.__code__ = wished

    def patches(self) -> list[Patch]:
        """The table of patches; those that could not be put in place say why."""
        return self._table.rows()

    def install(self) -> None:
        """Put every tap in place, and tell of the optimizers that live already. Idempotent.

        Raises:
            InternalError: another hub is installed.
        """
        global _installed
        with _lock:
            other = None if _installed is None else _installed()
            if other is self:
                return
            if other is not None:
                raise InternalError("a hub is installed already; remove it before installing another")
            with _no_collection():
                self._put_in_place()
            _installed = weakref.ref(self)
            _watch_forks()
        self._tell_of_living_optimizers()

    def remove(self) -> None:
        """Restore everything. Idempotent; nothing is told any more, not even by a call that is under way."""
        global _installed
        with _lock:
            self._restore()
            if _installed is not None and _installed() in (self, None):
                _installed = None

    def _restore(self) -> None:
        self._teller.silence()
        if self._forward is not None:
            self.watch_forwards = False
            self._forward = None
        self._table.undo()

    def _put_in_place(self) -> None:
        teller, self._kept = self._teller, Kept()
        forward = forward_taps(teller)
        prepared = [
            (spec, *self._prepare(spec))
            for spec in [
                *forward,
                *backward_taps(teller),
                *optimizer_taps(teller),
                *loss_taps(teller),
                *process_taps(teller),
                *capture_taps(teller),
            ]
        ]
        for spec, function, tapped, reason in prepared:
            if function is None or tapped is None:
                self._table.refused(spec.name, spec.what, spec.guard, reason)
                continue
            self._table.tap(spec.name, spec.what, spec.guard, function, tapped)
            if spec in forward:
                self._forward = function, tapped
            if spec.existing is not None:
                self._tap_existing(spec, tapped)
        self._kept.save()
        self._kept = None
        if not self._watch_forwards:
            self.watch_forwards = False

    def _prepare(self, spec: Spec) -> tuple[FunctionType | None, Tapped | None, str]:
        if spec.refused:
            return None, None, spec.refused
        try:
            function = innermost(_resolve(spec.name))
            if function.__module__.partition(".")[0] != spec.name.partition(".")[0]:
                raise TapError(f"{function.__module__} has put another function in its place")
            leave, names = spec.leave, spec.leave_names
            if names == ALL:
                code = function.__code__
                names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
                assert spec.make_leave is not None
                leave = spec.make_leave(names)
            tapped = make_tap(
                function,
                enter=shims.outside_dynamo(spec.enter),
                leave=shims.outside_dynamo(leave),
                enter_names=spec.enter_names,
                leave_names=names,
                inner=spec.inner,
                kept=self._kept if spec.name.startswith("torch.") else None,
                passing=shims.outside_dynamo(self._teller.passing()),
            )
        except Exception as error:  # one that is strange must not keep the others from being tapped
            return None, None, str(error) or type(error).__name__
        return function, tapped, ""

    def _tap_existing(self, spec: Spec, tapped: Tapped) -> None:
        """The functions that the tapped one made before; at the undoing, also those it made since."""
        assert spec.existing is not None
        existing = spec.existing

        def swap(old: Any, new: Any) -> int:
            found = [f for f in existing() if isinstance(f, FunctionType) and f.__code__ is old]
            for function in found:
                function.__code__ = new
            return len(found)

        self._optimizers_live = swap(tapped.original_inner, tapped.inner) > 0
        self._table.also(lambda: swap(tapped.inner, tapped.original_inner))

    def _tell_of_living_optimizers(self) -> None:
        if not self._optimizers_live:  # torch wraps a class's step when the first one is made
            return
        with one_look():
            for optimizer in living(torch.optim.Optimizer):
                if "param_groups" in vars(optimizer):
                    self._teller.tell("optimizer_created", optimizer, None)


def _resolve(name: str) -> Any:
    package, *path = name.split(".")
    found = importlib.import_module(package)
    for part in path:
        found = getattr(found, part)
    return found


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Parsing makes many objects; a full collection of torch's heap would take longer than all the rest."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _watch_forks() -> None:
    global _fork_seen
    if not _fork_seen and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_silence_child)
        _fork_seen = True


def _silence_child() -> None:
    global _installed, _lock
    _lock = threading.Lock()
    hub = None if _installed is None else _installed()
    _installed = None
    if hub is not None:
        hub._restore()
