"""A run while it is recorded: what is opened when it begins, what runs beside the program, what is undone."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from unbug.hooks import when_torch_loads
from unbug.privacy import BatchPolicy
from unbug.session.background import TICK_S, Background
from unbug.session.capture import Capture
from unbug.session.environment import packages
from unbug.session.hang import HangWatch
from unbug.session.inherit import Inherited
from unbug.session.launch import rank_of
from unbug.session.live import FIRST_STEPS, LiveFindings, counts
from unbug.session.medialog import MediaLog, media_budget
from unbug.session.notify import Notifier
from unbug.session.observer import NOWHERE, Observer
from unbug.session.probing import keeps_batches
from unbug.session.redacting import RedactingWriter
from unbug.session.resuming import ResumedWriter
from unbug.session.rules import rule_settings
from unbug.session.sources import Sources
from unbug.session.standing import Standing, last_loss
from unbug.session.stopping import Stopper
from unbug.types import Finding

if TYPE_CHECKING:
    from unbug.privacy import Redactor
    from unbug.session.ending import Ending
    from unbug.session.faults import Faults
    from unbug.session.git import Git
    from unbug.session.placing import Placed
    from unbug.session.voice import Voice
    from unbug.settings import Settings
    from unbug.store import Writer

__all__ = ["Recording"]

SAMPLE_S = 5.0
Position: TypeAlias = tuple[int, int, int, int]


class Recording:
    """Everything that lives as long as a run.

    Args:
        facts: What the manifest of a new run says of this process; a resumed run is told it as an event.
        roots: Folders of the program, whose modules' source is kept.
        of_processes: Nothing is watched in this process, only in those that the command starts.
    """

    def __init__(
        self,
        settings: Settings,
        placed: Placed,
        *,
        voice: Voice,
        faults: Faults,
        redactor: Redactor,
        git: Git,
        facts: Mapping[str, Any],
        roots: Sequence[Path] = (),
        of_processes: bool = False,
    ) -> None:
        from unbug.store import open_writer, process_identity

        self.settings = settings
        self._pid = os.getpid()
        self.voice, self.faults, self._redactor = voice, faults, redactor
        self.path, self.run, self.attempt = placed.path, placed.run, placed.attempt
        self.of_processes = of_processes
        self._identity = process_identity()
        raw: Writer = open_writer(
            self.path,
            rank=rank_of(os.environ),
            attempt=self.attempt,
            node=self._identity["host"],
            role="command" if of_processes else "program",
            disk_bytes=settings["disk"],
        )
        self._resumed = ResumedWriter(raw, self.path, attempt=self.attempt) if self.attempt else None
        policy = BatchPolicy.of(settings["privacy.batches"])
        self.writer = RedactingWriter(self._resumed or raw, self._redactor, batches=policy)
        self.writer.on_fault = self.faults.tell
        self.faults.attach(self.writer)
        self.observer = Observer(
            self.writer,
            self.faults,
            budget=settings["budget"],
            every=settings["every"],
            resumed=self.attempt > 0,
            keeps=keeps_batches(settings),
        )
        if self._resumed is not None:
            self._resumed.made_before = self.observer.resumed_from
        self.forget_torch: Callable[[], None] = lambda: None
        self.inherited = Inherited(self.path, settings, attempt=self.attempt)
        self.notifier = Notifier(
            settings["notify"],
            self.path,
            self.run,
            event=lambda fields: self.writer.event("notify", fields, t_ns=time.monotonic_ns()),
            say=self.voice.say,
        )
        self.stopper = Stopper(
            settings["stop_on"],
            position=self.observer.position,
            event=lambda fields: self.writer.event("stop", fields, t_ns=time.monotonic_ns()),
            say=self.voice.remark,
            faults=self.faults,
            of_processes=of_processes,
        )
        self.live = LiveFindings(
            self.path,
            self.writer,
            self.voice,
            lambda: rule_settings(settings),
            position=self._processes if of_processes else self.observer.position,
            notify=self._notify,
            proceed=self._goes_on,
        )
        self.sources = Sources(
            self.writer, self._redactor, how=settings["privacy.source"], roots=(*roots, settings.base)
        )
        self.capture = Capture(
            self.writer, self._redactor, how="off" if of_processes else settings["privacy.console"]
        )
        self.background = Background(self.faults)
        self.media = MediaLog(
            self.path,
            self.writer,
            self.faults,
            budget_bytes=media_budget(settings),
            how=settings["privacy.media"],
        )
        self.closed = False
        self.began_s = self._written_s = time.monotonic()
        self.standing = Standing(
            self.path,
            self.writer,
            self._counted,
            attempt=self.attempt,
            of_processes=of_processes,
            redact=redactor.text,
            identity=self._identity,
        )
        with self.faults.guard("asking git"):
            answers = git.answers(self._redactor)
            if answers:
                self._environment({"git": answers})
        if self.attempt:
            self._environment({**facts, "attempt": self.attempt})

    def start(self, *, main: str | None = None) -> None:
        """Begin to watch. From here on the program runs.

        Args:
            main: File of the program, whose source is kept at once: it may not live long.
        """
        with self.faults.guard("keeping the source"):
            if main is not None:
                self.sources.take(main)
        with self.faults.guard("keeping the console"):
            self.capture.install()
        with self.faults.guard("sampling resources"):
            self.background.every(SAMPLE_S, "sampling resources", self._resources())
        self._jobs()
        with self.faults.guard("writing"):
            self.writer.flush()
        self.background.start()
        _alive.add(self)
        self.inherited.give()
        if not self.of_processes:
            self.observer.listen()
            self.forget_torch = when_torch_loads(self.observer.begin)

    def _processes(self) -> Position:
        """For the live findings of processes: whether one of them has begun to write."""
        begun = len(os.listdir(self.path / "writers")) > 1  # noqa: PTH208 - names only
        return (0, FIRST_STEPS, 0, 0) if begun else NOWHERE

    @property
    def absence(self) -> str:
        """Why there is no training in the run, in words; empty if there may be one."""
        if not self.of_processes:
            return self.observer.absence
        return "" if self._processes() != NOWHERE else "no process of the command was seen to train"

    def unknown(self) -> list[str]:
        """What of a resumed run is not known, in words."""
        return [] if self._resumed is None else self._resumed.in_words()

    def _jobs(self) -> None:
        every = self.background.every
        every(TICK_S, "keeping the console", self.capture.drain)
        every(TICK_S, "keeping media", self.media.work)
        every(TICK_S, "writing", self._write)
        every(TICK_S, "merging", self.writer.maintain)
        every(SAMPLE_S, "keeping the source", self.sources.take_new)
        every(SAMPLE_S, "writing the status", self.standing.write)
        every(float("inf"), "listing packages", lambda: self._environment({"packages": packages()}))
        every(TICK_S, "diagnosing", self._look)
        every(TICK_S, "notifying", self.notifier.look)
        if not self.of_processes and self.settings["hang_s"] > 0:
            watch = HangWatch(self.observer.position, self._hang, least_s=self.settings["hang_s"])
            every(min(SAMPLE_S, self.settings["hang_s"] / 32), "looking for a hang", watch.look)

    def _write(self) -> None:
        self._written_s = time.monotonic()
        self.writer.flush()

    def _goes_on(self) -> bool:
        """Asked by a long look at the run, which what is recorded meanwhile does not wait for."""
        now = time.monotonic()
        if now >= self._written_s + TICK_S:
            self._write()
        return self.background.proceeds

    def _look(self) -> None:
        if self.live.look() and self.live.last is not None:
            self.standing.found(
                counts(self.live.last.findings),
                self.live.trainings,
                last_loss=last_loss(self.live.reader),
            )
        self.stopper.look(self.live.reader)

    def _counted(self) -> Position:
        """Where the program is, steps counted over all attempts."""
        training, step, micro, phase = self.observer.position()
        before = 0 if self._resumed is None else self._resumed.before(training)
        return training, step + before, micro, phase

    def _notify(self, finding: Finding) -> None:
        self.stopper.tell(finding)
        with self.faults.guard("notifying"):
            self.notifier.tell(finding)

    def _hang(self, fields: Mapping[str, Any]) -> None:
        training, step, micro, phase = self.observer.position()
        self.writer.event(
            "hang", fields, t_ns=time.monotonic_ns(), training=training, step=step, micro=micro, phase=phase
        )

    def _resources(self) -> Callable[[], None]:
        from unbug.session.resources import Resources

        resources = Resources(self.writer, self.path)
        self.standing.least_free_share = resources.least_free_share
        follow = resources.follow_memory
        self.background.every(TICK_S, "following memory", lambda: follow(self.observer.position))
        return lambda: resources.sample(self.observer.position)

    def _environment(self, fields: Mapping[str, Any]) -> None:
        """Facts that were not known when the manifest was written; readers lay them over it."""
        self.writer.event("environment", fields, t_ns=time.monotonic_ns())

    def close(self, ending: Ending) -> int:
        """Stop watching, look at the whole run once more, say what was found, let go of everything.

        Returns:
            3 if the program succeeded and a finding reaches `fail_on`, else 0.
        """
        if self.closed or os.getpid() != self._pid:
            return 0
        from unbug.session.closing import close

        return close(self, ending)

    def retire(self) -> None:
        """No longer the process's open run; nothing of it is closed twice."""
        self.closed = True
        _alive.discard(self)

    def forget(self) -> None:
        """In a forked child: the run is the parent's."""
        self.closed = True
        self.forget_torch()
        self.capture.console.silence()
        self.observer.forget()


_alive: weakref.WeakSet[Recording] = weakref.WeakSet()


def _after_fork() -> None:
    for recording in list(_alive):
        recording.forget()
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork)
