"""How a run stands and how it ended, for its status file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.session.reasons import Reason, oom_kills, reason_of
from unbug.types import RunState, Status, Training

if TYPE_CHECKING:
    from unbug.session.ending import Ending
    from unbug.session.redacting import RedactingWriter
    from unbug.store import Reader

__all__ = ["Standing", "last_loss"]

_NEAR = 1000
"""Steps back from the end among which the last loss is looked for first."""


class Standing:
    """Writes the status, from what the recorder and the diagnoses know.

    Args:
        position: Training, step, micro and phase now, steps counted over all attempts.
        of_processes: The program is a command, whose processes are recorded.
        redact: Lets no secret of an error's text through.
    """

    def __init__(
        self,
        path: Path,
        writer: RedactingWriter,
        position: Callable[[], tuple[int, int, int, int]],
        *,
        attempt: int,
        of_processes: bool,
        redact: Callable[[str], str],
        identity: Mapping[str, Any],
    ) -> None:
        self._path, self._writer, self._position = path, writer, position
        self._attempt, self._of_processes, self._redact = attempt, of_processes, redact
        self._identity = identity
        self._findings: Mapping[str, int] = {}
        self._last_loss: float | None = None
        self._trainings = 0
        self._steps: int | None = None
        self._kills = oom_kills()
        self._reason: Reason | None = None
        self.least_free_share: Callable[[], float] = lambda: 1.0

    def found(
        self,
        findings: Mapping[str, int],
        trainings: Sequence[Training] = (),
        *,
        last_loss: float | None = None,
    ) -> None:
        """Take in what a live diagnosis said; and of a command, how far its processes are."""
        self._findings, self._last_loss = findings, last_loss
        if self._of_processes:
            self._trainings, self._steps = len(trainings), sum(one.steps for one in trainings)

    def recorded(self, steps: int) -> None:
        """Take in how many steps the recorder counted, now that it is closed."""
        self._steps = steps

    def take(
        self, findings: Mapping[str, int], last_loss: float | None, trainings: Sequence[Training]
    ) -> None:
        """Take in what the last diagnosis said. It has seen the processes' trainings, too."""
        self._findings, self._last_loss = findings, last_loss
        self._trainings = len(trainings)
        self._steps = max(self._steps or 0, sum(one.steps for one in trainings))

    def reason_of(self, ending: Ending) -> Reason:
        """Why the program ended. What one of its processes says weighs more than the code of the command."""
        kills, before = oom_kills(), self._kills
        if self._of_processes and ending.state is not RunState.FINISHED:
            ending = replace(ending, error=self._first_crash() or ending.error)
        self._reason = reason_of(
            ending,
            environment=os.environ,
            kills=0 if kills is None or before is None else kills - before,
            least_free_share=self.least_free_share(),
        )
        return self._reason

    def _first_crash(self) -> str:
        """The error of the process of this attempt that failed first: the others were ended for it."""
        from unbug.store import open_reader

        self._writer.flush()
        reader = open_reader(self._path)
        try:
            crashes = [event for event in reader.events("crash") if event.attempt >= self._attempt]
        finally:
            reader.close()
        return str(crashes[0].fields.get("error", "")) if crashes else ""

    def write(self) -> None:
        """Say that it runs."""
        self._writer.status(self._status(RunState.RUNNING))

    def write_end(self, ending: Ending) -> None:
        """Say how the program ended."""
        more = {
            "exit_code": ending.exit_code,
            "ended_ns": time.time_ns(),
            "message": self._redact(self._message(ending)),
        }
        self._writer.status(self._status(ending.state, **more))

    def _message(self, ending: Ending) -> str:
        reason = self._reason
        if reason is None or reason.kind in ("finished", "failed", "interrupted"):
            return ending.error if reason is None or not self._of_processes else reason.text
        likely = "" if reason.sure else "perhaps "
        return f"{likely}{reason.kind.replace('-', ' ')}: {reason.text}"

    def _status(self, state: RunState, **more: Any) -> Status:
        training, step, _, _ = self._position()
        return Status(
            state=state,
            updated_ns=time.time_ns(),
            trainings=max(training + 1, self._trainings),
            steps=step + 1 if self._steps is None else self._steps,
            last_loss=self._last_loss,
            findings=dict(self._findings),
            lost=self._writer.lost,
            **self._identity,
            **more,
        )


def last_loss(reader: Reader | None) -> float | None:
    """Of the newest training, as far as it is written."""
    training = reader.trainings()[-1:] if reader is not None else ()
    if reader is None or not training:
        return None
    number, near = training[0].number, max(training[0].steps - _NEAR, 0)
    for series in reader.find(name="loss.value", origin="auto", training=number):
        for start in (near, None):
            values = reader.read(series, training=number, start=start).values
            if len(values):
                return float(values[-1])
    return None
