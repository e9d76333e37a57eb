"""A python process that the program started, and that imports torch: a further writer of the same run."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.hooks import when_torch_loads
from unbug.privacy import BatchPolicy
from unbug.session import current
from unbug.session.background import TICK_S, Background
from unbug.session.ending import Ending, ending_fields
from unbug.session.faults import Faults
from unbug.session.hang import HangWatch
from unbug.session.late import LateWriter
from unbug.session.launch import rank_of, restarts
from unbug.session.medialog import MediaLog, media_budget
from unbug.session.observer import Observer
from unbug.session.reasons import reason_of
from unbug.session.redacting import RedactingWriter
from unbug.session.resuming import ResumedWriter
from unbug.session.sources import Sources

if TYPE_CHECKING:
    from unbug.session.resources import Resources
    from unbug.settings import Settings
    from unbug.store import Writer

__all__ = ["ChildRecording", "attach_child"]


class ChildRecording:
    """What is recorded in a child: the same as in its parent, less the console; nothing is said aloud."""

    def __init__(self, path: Path, settings: Settings, *, attempt: int = 0) -> None:
        from unbug.privacy import Redactor
        from unbug.store import open_reader

        reader = open_reader(path)
        self.path, self.run = path, reader.run
        reader.close()
        self.settings, self.closed = settings, False
        self.attempt = attempt + restarts(os.environ)
        self._pid = os.getpid()
        self.faults = Faults(strict=settings["strict"], quiet=settings["quiet"])
        self._unseen = _other_version(self.run.unbug_version)
        if self._unseen and not settings["quiet"]:
            print(f"unbug: {self._unseen[0]}", file=sys.stderr, flush=True)
        redactor = Redactor.of_process(sys.orig_argv, os.environ)
        self._rank = 0
        self._late = LateWriter(self._open, noticed=self._note_rank)
        policy = BatchPolicy.of(settings["privacy.batches"])
        self.writer = RedactingWriter(self._late, redactor, batches=policy)
        self.writer.on_fault = self.faults.tell
        self.faults.attach(self.writer)
        self.observer = Observer(
            self.writer,
            self.faults,
            budget=settings["budget"],
            every=settings["every"],
            resumed=self.attempt > 0,
        )
        self._sources = Sources(self.writer, redactor, how=settings["privacy.source"], roots=(settings.base,))
        self._background = Background(self.faults)
        self._forget_torch: Callable[[], None] = lambda: None
        self.media = MediaLog(
            self.path,
            self.writer,
            self.faults,
            budget_bytes=media_budget(settings),
            how=settings["privacy.media"],
        )
        self._resources: Resources | None = None

    def _note_rank(self) -> None:
        """A short training may have ended its process group before the writer is opened."""
        self._rank = rank_of(os.environ)

    def _open(self) -> Writer:
        import socket

        from unbug.store import open_writer

        writer = open_writer(
            self.path,
            rank=rank_of(os.environ) or self._rank,
            attempt=self.attempt,
            node=socket.gethostname(),
            role="child",
            first=False,
            disk_bytes=self.settings["disk"],
        )
        if not self.attempt:
            return writer
        resumed = ResumedWriter(writer, self.path, attempt=self.attempt)
        resumed.made_before = self.observer.resumed_from
        return resumed

    def start(self, *, main: str | None = None) -> None:
        """Begin to watch.

        Args:
            main: File of the program; its source is kept by who began the run.
        """
        self._forget_torch = when_torch_loads(self.observer.begin)
        self._background.every(TICK_S, "keeping media", self.media.work)
        self._background.every(TICK_S, "writing", self._write)
        self._background.every(TICK_S, "merging", self.writer.maintain)
        self._background.every(5.0, "sampling resources", self._sample)
        hang_s = self.settings["hang_s"]
        if hang_s > 0:
            watch = HangWatch(self.observer.position, self._hang, least_s=hang_s)
            self._background.every(min(5.0, hang_s / 32), "looking for a hang", watch.look)
        self._background.start()
        atexit.register(self.close)

    def _write(self) -> None:
        self.writer.flush()

    def _hang(self, fields: Mapping[str, Any]) -> None:
        training, step, micro, phase = self.observer.position()
        self.writer.event(
            "hang", fields, t_ns=time.monotonic_ns(), training=training, step=step, micro=micro, phase=phase
        )

    def _sample(self) -> None:
        if not self._late.has_something:
            return
        if self._resources is None:
            from unbug.session.resources import Resources

            self._resources = Resources(self.writer, self.path)
        self._resources.sample(self.observer.position)

    def close(self, ending: Ending | None = None) -> int:
        """Undo everything, write what is left. Idempotent."""
        atexit.unregister(self.close)
        if self.closed or os.getpid() != self._pid:
            return 0
        self.closed = True
        self._forget_torch()
        self.observer.end()
        self._background.stop(0.5)
        with self.faults.guard("keeping media"):
            self.media.close()
        with self.faults.guard("writing the end"):
            ending = ending or Ending.of(getattr(sys, "last_value", None))
            if ending.error:
                fields = {"error": ending.error, "traceback": ending.traceback}
                self.writer.event("crash", fields, t_ns=time.monotonic_ns())
                fields = ending_fields(ending, reason_of(ending, environment=os.environ))
                self.writer.event("end", fields, t_ns=time.monotonic_ns())
            if self._late.has_something:
                self._sources.take_new()
                coverage = dict(self.observer.coverage())
                told = [*self.faults.told, *self._unseen, *self.media.in_words()]
                coverage["unseen"] = [*coverage.get("unseen", ()), *told]
                self.writer.event("coverage", coverage, t_ns=time.monotonic_ns())
            self.writer.close(deadline_s=1.0)
        return 0


def _other_version(began: str) -> list[str]:
    """What is to be said where this process has another unbug than the one that began the run."""
    from unbug import __version__

    if began in ("", __version__):
        return []
    return [
        f"process {os.getpid()} has unbug {__version__}, the run was begun by {began}: what it records may "
        "differ; install one version everywhere"
    ]


def attach_child(run: str | os.PathLike[str]) -> None:
    """Record this process into a run that its parent began. Called when the process has imported torch.

    Args:
        run: Folder of the run. Nothing happens if this process records a run of its own.
    Raises:
        NotARunError: the folder is none (any more).
    """
    from unbug.settings import resolve

    if current.recording() is not None:
        return
    settings = resolve()
    if not settings["enabled"]:
        return
    attempt = os.environ.get("UNBUG_ATTEMPT", "0")
    child = ChildRecording(Path(run), settings, attempt=int(attempt) if attempt.isdigit() else 0)
    current.begin(child, of_command=True)
    child.start()
