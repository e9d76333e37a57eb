"""A writer for an attempt that goes on with a run: steps are counted from where the training was resumed.

The recorder counts what it sees, from 0. How many steps came before is what the optimizer says that the
program loaded; else what the run says of the checkpoint that it loaded; else it is not known, and said so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.store import Writer
    from unbug.types import Status, Training

__all__ = ["ResumedWriter"]


class ResumedWriter:
    """Adds to each step what came before it.

    `made_before` tells the steps of a training in earlier attempts, as its optimizer counts them; None if it
    does not.
    """

    def __init__(self, writer: Writer, path: Path, *, attempt: int) -> None:
        self._writer, self._path, self._attempt = writer, path, attempt
        self.made_before: Callable[[int], int | None] = lambda training: None
        self._first: dict[int, int] = {}
        self._loaded: list[str] = []
        self._unknown: list[int] = []
        self._by_file: Mapping[str, int] | None = None
        self.flush, self.maintain, self.close = writer.flush, writer.maintain, writer.close
        self.group: Callable[..., int] = writer.group
        self.before_flush = writer.before_flush

    def row(
        self,
        group: int,
        values: Sequence[float] | bytes,
        *,
        t_ns: int,
        training: int = -1,
        step: int = -1,
        micro: int = 0,
        phase: int = Phase.OTHER,
        user_step: float | None = None,
    ) -> None:
        """Queue one row."""
        if training >= 0:
            step += self._before(training, step)
        self._writer.row(
            group,
            values,
            t_ns=t_ns,
            training=training,
            step=step,
            micro=micro,
            phase=phase,
            user_step=user_step,
        )

    def event(
        self,
        kind: str,
        fields: Mapping[str, Any],
        *,
        t_ns: int,
        training: int = -1,
        step: int = -1,
        micro: int = 0,
        phase: int = Phase.OTHER,
    ) -> None:
        """Queue one event."""
        if kind == "checkpoint" and fields.get("action") == "loaded" and isinstance(fields.get("path"), str):
            self._loaded.append(fields["path"])
        if training >= 0:
            step += self._before(training, step)
        self._writer.event(kind, fields, t_ns=t_ns, training=training, step=step, micro=micro, phase=phase)

    def training(self, training: Training) -> None:
        """State what is known of a training; its steps are those of all attempts."""
        before = self._before(training.number, training.steps - 1)
        self._writer.training(replace(training, steps=training.steps + before))

    def status(self, status: Status) -> None:
        """Replace the run's status file."""
        self._writer.status(status)

    def before(self, training: int) -> int:
        """Steps before this attempt's first, as far as that is settled."""
        return self._first.get(training, 0)

    def in_words(self) -> list[str]:
        """What is not known, for the coverage event."""
        return [
            f"training {number}: its optimizer keeps no count of steps, and no checkpoint of this run was "
            f"seen to be loaded, so the steps of attempt {self._attempt} are counted from 0"
            for number in self._unknown
        ]

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept."""
        return self._writer.lost

    def _before(self, training: int, step: int) -> int:
        """Steps before this attempt's first. Settled with the first step; what is told earlier is a guess."""
        known = self._first.get(training)
        if known is not None:
            return known
        said, by = self.made_before(training), "the optimizer"
        if said is None:
            said, by = self._of_checkpoint(), "the checkpoint that was loaded"
        before = said or 0
        if step >= 0:
            self._first[training] = before
            if said is None:
                self._unknown.append(training)
            fields = {"step": None if said is None else before, "known_by": "" if said is None else by}
            self._writer.event("resume", fields, t_ns=time.monotonic_ns(), training=training, step=before)
        return before

    def _of_checkpoint(self) -> int | None:
        """Steps that had been made when the file was saved that was loaded last, if the run knows it."""
        if not self._loaded:
            return None
        if self._by_file is None:
            self._by_file = self._saved()
        return next((self._by_file[path] for path in reversed(self._loaded) if path in self._by_file), None)

    def _saved(self) -> Mapping[str, int]:
        from unbug.store import open_reader

        reader = open_reader(self._path)
        try:
            events = sorted(reader.events("checkpoint"), key=lambda event: event.attempt)
        finally:
            reader.close()
        return {
            str(event.fields.get("path")): event.step + 1
            for event in events
            if event.fields.get("action") == "saved" and event.attempt < self._attempt and event.training >= 0
        }
