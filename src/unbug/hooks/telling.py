"""Telling the listener: the one place where its failures are caught; what each thread is in the middle of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from unbug.hooks import shims
from unbug.hooks.contract import Listener, Nap
from unbug.hooks.interrupts import from_signal, show_as_bare

__all__ = ["Here", "Teller"]

_METHODS = (
    "root_forward", "root_output", "module_output", "backward_begin", "backward_end", "autograd_grad",
    "optimizer_created", "step_begin", "step_end", "step_raised", "zero_grad", "clip", "scheduler_step",
    "scaler_step", "loss_call", "batch_begin", "batch_end", "seeded", "compiled", "swapping", "swapped",
)  # fmt: skip


def _nothing(*_: Any) -> None: ...


class Here(threading.local):
    """How deep this thread is, for each kind of call. Each tap sets it back to what it found."""

    forward = 0  # 1 inside a forward that is told, -1 inside one that is not
    backward = 0
    loss = 0
    clip = 0
    scheduler = 0
    scaler = 0
    batch = 0
    compile = 0
    stepped = False  # an optimizer's step began since the scaler asked for one
    busy = False  # inside the listener, or capturing: nothing is told
    capturing = 0


class Teller:
    """Calls the listener, unless the part that is called has failed before."""

    def __init__(self, listener: Listener) -> None:
        self.here = Here()
        self.watch_modules = False
        self.dozing = False
        self.nap: Nap | None = None
        self._listener: Listener | None = listener
        self._methods: dict[str, Callable[..., None]] = {}
        for name in _METHODS:
            method = getattr(listener, name, None)
            if method is not None:
                self._methods[name] = method

    def quiet(self) -> bool:
        """Whether nothing may be told now: inside the listener, or while torch traces or transforms."""
        return self.here.busy or shims.blocked()

    def tell(self, name: str, *arguments: Any) -> None:
        """Call the listener. What it raises is reported once and switches the method off; interrupts pass."""
        method = self._methods.get(name)
        if method is None:
            return
        here = self.here
        here.busy = True
        try:
            with shims.unwatched():
                method(*arguments)
        except Exception as error:
            if from_signal(error):
                raise
            self.fault(name, error)
        finally:
            here.busy = here.capturing > 0

    def passing(self) -> Callable[[], None]:
        """What is called when an exception passes through a tap. If it cut a call of ours short, what that
        would have set back is as where nothing is under way.

        A plain function: Dynamo copies the constants of code, and with a bound method all that this holds.
        """
        here = self.here

        def passing() -> None:
            if show_as_bare():
                vars(here).clear()

        return passing

    def nap_failed(self, error: Exception) -> None:
        """The listener's short cut raised: from now on it is told as ever. Interrupts pass."""
        if from_signal(error):
            raise error
        self.nap = None
        self._methods.setdefault("nap", _nothing)
        self.fault("nap", error)

    def fault(self, name: str, error: Exception) -> None:
        """Switch the method off and report why. The error's frames are let go: they hold tensors."""
        if self._methods.pop(name, None) is None or self._listener is None:
            return
        try:
            self._listener.fault(name, error)
        except Exception:
            self._methods.clear()  # a listener that cannot even hear of its fault is off
        finally:
            error.__traceback__ = None

    def silence(self) -> None:
        """Tell nothing any more, and let the listener go."""
        self.nap = None
        self._methods.clear()
        self._listener = None
