"""What `with unbug.run(…) as run:` gives: watch a model, log numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from unbug.errors import UsageError
from unbug.session.ending import Ending
from unbug.session.userlog import UserLog

if TYPE_CHECKING:
    import torch

    from unbug.session.children import ChildRecording
    from unbug.session.recording import Recording

__all__ = ["Session"]


class Session:
    """A run that is being recorded; made by `unbug.run`.

    Inside of `unbug run` it joins the run of the command, and the command closes that.
    """

    def __init__(self, recording: Recording | ChildRecording | None, *, owns: bool) -> None:
        self._recording, self._owns = recording, owns
        self._open = True
        self._pid = os.getpid()
        self._log = (
            None if recording is None else UserLog(recording.writer, recording.observer, recording.media)
        )

    @property
    def path(self) -> Path | None:
        """Folder of the run; None where unbug is switched off (`UNBUG=0`)."""
        return None if self._recording is None else self._recording.path

    @property
    def id(self) -> str | None:
        """Id of the run, which never changes."""
        return None if self._recording is None else self._recording.run.id

    @property
    def name(self) -> str | None:
        """Name of the run."""
        return None if self._recording is None else self._recording.run.name

    def log(self, values: Mapping[str, Any], *, step: float | None = None) -> None:
        """Keep numbers of the program's own, and pictures, texts, sounds, tables, histograms and figures.

        Args:
            values: By name. Numbers: Python's, numpy's, or a tensor with one element; NaN is a value. Else an
                `unbug.Image`, `Text`, `Audio`, `Table`, `Histogram` or `Figure`, or a list of them; images of
                PIL, figures of matplotlib and plotly, and tables of pandas and pyarrow are taken as they are.
            step: The program's own count, kept beside the training's step, in whatever order it comes.
        Raises:
            ValueNotLoggableError: a value is no single number and none of these.
            MediaError: a picture or the like cannot be made of one.
            UsageError: the run is closed.
        """
        if self._log is not None:
            self._log.log(values, step)
        elif not self._open:
            raise UsageError("cannot log: the run is closed; log inside of `with unbug.run(...) as run:`")

    def watch(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Tell of a model, and of the optimizer that trains it. Nothing has to be told; this gives a name.

        Raises:
            UsageError: the run is closed.
        """
        if not self._open:
            raise UsageError("cannot watch: the run is closed; watch inside of `with unbug.run(...) as run:`")
        if self._recording is not None:
            with self._recording.faults.guard("watching a model"):
                self._recording.observer.watch(model, optimizer, name=name)

    def close(self) -> None:
        """End the run: undo all hooks, say what was found. Idempotent; `with` does it."""
        self._close(None)

    def discard(self) -> None:
        """End the run without a word and delete it: nothing of the program happened in it."""
        recording, path = self._recording, self.path
        if not self._open or recording is None or path is None or not self._owns:
            return
        voice = getattr(recording, "voice", None)
        if voice is not None:
            voice.is_quiet = True
        self._close(None)
        from unbug.store import remove_run

        with recording.faults.guard("deleting the run"):
            remove_run(path)

    def _close(self, error: BaseException | None) -> None:
        if not self._open:
            return
        self._open, self._log = False, None
        if self._recording is not None and self._owns:
            self._recording.close(Ending.of(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(error)

    def _repr_html_(self) -> str | None:
        from unbug.session.display import card_of

        return None if self.path is None else card_of(self.path)

    def __repr__(self) -> str:
        state = "open" if self._open else "closed"
        return (
            f"<unbug.run {self.name!r} {state}, {self.path}>"
            if self._recording
            else "<unbug.run switched off>"
        )
