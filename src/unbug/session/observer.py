"""Watching torch, made when the program has imported it and not before; and what it logs and saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from unbug.types import Phase

if TYPE_CHECKING:
    import torch

    from unbug.hooks import Hub
    from unbug.interop import Interop
    from unbug.record import KeptBatches, Recorder
    from unbug.session.faults import Faults
    from unbug.store import Writer

__all__ = ["NOWHERE", "Observer"]

NOWHERE = (-1, -1, 0, int(Phase.OTHER))
"""Position of what happens outside of any training."""


class Observer:
    """The recorder and the hub of one process.

    Args:
        keeps: A few batches, and the model, are kept for probes at the end.
    """

    def __init__(
        self,
        writer: Writer,
        faults: Faults,
        *,
        budget: float,
        every: int | None,
        resumed: bool = False,
        keeps: bool = False,
    ) -> None:
        self._writer, self._faults = writer, faults
        self._budget, self._every, self._resumed = budget, every, resumed
        self._keeps = keeps
        self._hub: Hub | None = None
        self._recorder: Recorder | None = None
        self._interop: Interop | None = None
        self._position: Callable[[], tuple[int, int, int, int]] = lambda: NOWHERE
        self.asked = False

    @property
    def absence(self) -> str:
        """Why torch was not watched, in words; empty if it was."""
        if self.is_on:
            return ""
        return "torch could not be watched" if self.asked else "the program did not import torch"

    @property
    def is_on(self) -> bool:
        """Whether torch is being watched."""
        return self._recorder is not None

    def listen(self) -> None:
        """Take in what the program logs, sets and saves by other libraries from now on. Idempotent."""
        if self._interop is not None:
            return
        with self._faults.guard("watching other libraries"):
            from unbug.interop import Interop

            interop = self._interop = Interop(self._writer, self.position, self._faults.report)
            interop.install()

    def begin(self) -> None:
        """Load what watches, and install it. What fails here leaves the program unwatched, and running."""
        self.asked = True
        self.listen()
        with self._faults.guard("watching torch"):
            from unbug.hooks import Hub
            from unbug.record import Recorder

            recorder = Recorder(self._writer, budget=self._budget, every=self._every, resumed=self._resumed)
            if not self._keeps:
                recorder.kept.let_go()
            hub = Hub(recorder)
            try:
                recorder.bind(hub)
                hub.install()
            except BaseException:
                hub.remove()
                raise
            self._hub, self._recorder = hub, recorder
            self._position = recorder.position

    @property
    def interop(self) -> Interop | None:
        """What takes in numbers and settings of other libraries; None while nothing is watched."""
        return self._interop

    @property
    def kept(self) -> KeptBatches | None:
        """What is kept for probes; None while torch is not watched."""
        return None if self._recorder is None else self._recorder.kept

    def position(self) -> tuple[int, int, int, int]:
        """Training, step, micro and phase now."""
        return self._position()

    def resumed_from(self, training: int) -> int | None:
        """Steps made in earlier attempts, as the training's optimizer counts them; None if it does not."""
        return None if self._recorder is None else self._recorder.resumed_from(training)

    def watch(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None, *, name: str | None
    ) -> None:
        """Tell the recorder of a model."""
        if self._recorder is not None:
            self._recorder.watch(model, optimizer, name=name)

    def coverage(self) -> Mapping[str, Any]:
        """What was recorded how often, and what could not be seen."""
        found: dict[str, Any] = {}
        if self._recorder is not None:
            with self._faults.guard("coverage"):
                found = dict(self._recorder.coverage())
        if self._interop is not None:
            found["unseen"] = [*found.get("unseen", ()), *self._interop.coverage()]
        return found

    def end(self) -> None:
        """Undo everything in torch and elsewhere, then let what is held be written. Idempotent."""
        if self._interop is not None:
            with self._faults.guard("watching other libraries"):
                self._interop.close()
        hub, self._hub = self._hub, None
        if hub is not None:
            with self._faults.guard("unhooking"):
                hub.remove()
        if self._recorder is not None:
            with self._faults.guard("closing the recorder"):
                self._recorder.close()

    def forget(self) -> None:
        """In a forked child: nothing is watched there."""
        hub, self._hub = self._hub, None
        self._recorder, self._position = None, lambda: NOWHERE
        if self._interop is not None:
            self._interop.remove()
        if hub is not None:
            hub.remove()
