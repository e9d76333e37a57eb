"""The run of a framework's callback: begun by it, or joined where one is open already."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unbug.session import current
from unbug.session.begin import run
from unbug.session.launch import Launch
from unbug.session.session import Session

if TYPE_CHECKING:
    import torch

    from unbug.session.current import Anyone

__all__ = ["FrameworkRun"]


class FrameworkRun:
    """What a callback does with unbug; every method but `begin` does nothing where nothing is recorded.

    A copy, and one that was pickled, belongs to no run.

    Args:
        origin: The framework, under which its numbers and settings are kept.
        options: As `unbug.run` takes them, for a run that this one begins.
    """

    def __init__(self, origin: str, options: Mapping[str, Any]) -> None:
        self._origin, self._options = origin, dict(options)
        self._session: Session | None = None
        self._recording: Anyone | None = None
        self._owns = False

    @property
    def session(self) -> Session | None:
        """The run while it is open, to log to."""
        return self._session

    @property
    def began(self) -> bool:
        """Whether this one began the run, and ends it."""
        return self._owns

    def begin(self, *, rank: int = 0) -> None:
        """Begin a run, or join the one that is open. Idempotent.

        Args:
            rank: Of this process. Where nothing says which processes belong together, only rank 0 begins one.
        """
        if self._session is not None and self._recording is not None and not self._recording.closed:
            return
        open_one = current.recording()
        if open_one is not None:
            self._session, self._owns = Session(open_one, owns=False), False
        elif rank == 0 or "UNBUG_RUN_PATH" in os.environ or Launch.of(os.environ, name="").identity:
            self._session = run(**self._options)
            self._owns = self._session.path is not None and not current.is_of_command()
        self._recording = current.recording()

    def watch(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Tell of a model and what trains it."""
        if self._session is not None:
            self._session.watch(model, optimizer, name=name)

    def log(self, values: Mapping[str, Any], step: float | None = None) -> None:
        """Keep numbers of the framework's under its name; what is no number is counted there as well."""
        recording = self._recording
        if recording is not None and not recording.closed:
            with recording.faults.guard(f"the callback for {self._origin}"):
                interop = recording.observer.interop
                if interop is not None:
                    interop.numbers(self._origin, values, step, read=True)

    def settings(self, values: Mapping[str, Any]) -> None:
        """Keep hyperparameters that the framework was given."""
        recording = self._recording
        if recording is not None and not recording.closed:
            with recording.faults.guard(f"the callback for {self._origin}"):
                interop = recording.observer.interop
                if interop is not None:
                    interop.settings(self._origin, dict(values))

    def mark(self, kind: str, **fields: Any) -> None:
        """Note where the program is: `epoch` or `evaluation`."""
        recording = self._recording
        if recording is not None and not recording.closed:
            with recording.faults.guard(f"the callback for {self._origin}"):
                training, step, micro, phase = recording.observer.position()
                recording.writer.event(
                    kind,
                    {"origin": self._origin, **fields},
                    t_ns=time.monotonic_ns(),
                    training=training,
                    step=step,
                    micro=micro,
                    phase=phase,
                )

    def end(self, error: BaseException | None = None) -> None:
        """End the run if this one began it. Idempotent."""
        session, self._session, self._recording = self._session, None, None
        if session is not None and self._owns:
            session.__exit__(None if error is None else type(error), error, None)
        self._owns = False

    def __getstate__(self) -> dict[str, Any]:
        return {"_origin": self._origin, "_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_origin"], state["_options"])  # type: ignore[misc]
