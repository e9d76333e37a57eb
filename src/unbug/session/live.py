"""Findings while the run lives: each new warning or error is said once, at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.errors import StoppedError
from unbug.types import Severity

if TYPE_CHECKING:
    from unbug.detect import Diagnosis, RuleSettings
    from unbug.session.voice import Voice
    from unbug.store import Reader, Writer
    from unbug.types import Finding, Training

__all__ = ["FIRST_STEPS", "LiveFindings", "counts", "reaches"]

SHARE = 0.001
"""Of the wall time, which a look at the whole run may take once the first looks are done: a look holds the
interpreter for tens of milliseconds, which the program's own threads wait for."""
FIRST_S, FIRST_STEPS = 1.0, 20
SLOW_S, SLOW_STEPS = 2.0, 3
"""Where steps are slow, the first look comes after these: what is wrong with the wiring, and a loss that is
NaN, show in three steps."""
EARLY_S = (2.0, 6.0, 15.0)
"""Gaps after the first looks: most faults show in the first steps, and are told while they matter. These
looks come out of the allowance for the first steps."""


class LiveFindings:
    """Looks at the run as far as it is written, and tells what is new.

    Args:
        position: Training, step, micro and phase now. Nothing is loaded before a training has begun.
        notify: Told of each new finding.
        proceed: Whether a look may go on; false once the run is closing.
    """

    def __init__(
        self,
        path: Path,
        writer: Writer,
        voice: Voice,
        settings: Callable[[], RuleSettings],
        *,
        position: Callable[[], tuple[int, int, int, int]],
        notify: Callable[[Finding], None] = lambda finding: None,
        proceed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._path, self._writer, self._voice, self._settings = path, writer, voice, settings
        self._position, self._notify, self._proceed = position, notify, proceed
        self._reader: Reader | None = None
        self._told: set[tuple[str, int]] = set()
        self._due: float | None = None
        self._began: float | None = None
        self.looks, self.cpu_s = 0, 0.0
        self.last: Diagnosis | None = None
        self.trainings: tuple[Training, ...] = ()

    def look(self) -> bool:
        """Look if it is time to; called every tick. True if it was."""
        now, (training, step, _, _) = time.monotonic(), self._position()
        if self._due is None and training >= 0:
            self._begin(now, training, step)
        if self._due is None or now < self._due:
            return False
        from unbug.detect import diagnose  # what loading costs is paid once, and no measure of the next look

        began = time.thread_time()
        self._diagnose(diagnose)
        spent = time.thread_time() - began
        self.looks, self.cpu_s = self.looks + 1, self.cpu_s + spent
        gap_s = max(spent / SHARE, EARLY_S[0])
        self._due = time.monotonic() + min([gap_s, *EARLY_S[self.looks - 1 : self.looks]])
        return True

    def _begin(self, now: float, training: int, step: int) -> None:
        if self._began is None:
            self._began = now
        if training > 0 or step >= FIRST_STEPS:
            self._due = now + FIRST_S
        elif step >= SLOW_STEPS and now >= self._began + SLOW_S:
            self._due = now

    @property
    def reader(self) -> Reader | None:
        """Of the run as far as it is written; None before the first look."""
        return self._reader

    def _diagnose(self, diagnose: Callable[..., Diagnosis]) -> None:
        from unbug.store import open_reader

        if self._reader is None:
            self._reader = open_reader(self._path)
        elif not self._reader.refresh():
            return
        with suppress(StoppedError):
            self.last = diagnose(self._reader, live=True, settings=self._settings(), proceed=self._proceed)
        if not self._proceed() or self.last is None:
            return
        self.trainings = self._reader.trainings()
        self.tell(self.last.findings)

    def tell(self, findings: tuple[Finding, ...], *, aloud: bool = True) -> None:
        """Write what is new to the run; say it where it is more than a note."""
        for finding in findings:
            key = (finding.fingerprint, finding.training)
            if not finding.is_alert or key in self._told:
                continue
            self._told.add(key)
            self._writer.event(
                "finding",
                finding.to_json(),
                t_ns=time.monotonic_ns(),
                training=finding.training,
                step=finding.known_at,
            )
            if aloud:
                self._voice.finding(finding)
            self._notify(finding)

    def close(self) -> None:
        """Let go of the reader."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def counts(findings: tuple[Finding, ...]) -> Mapping[str, int]:
    """Number of open findings by severity."""
    found: dict[str, Any] = {}
    for finding in findings:
        if finding.state == "open":
            found[finding.severity.value] = found.get(finding.severity.value, 0) + 1
    return found


def reaches(findings: tuple[Finding, ...], fail_on: str | None) -> bool:
    """Whether an open finding is at least as bad as `fail_on`."""
    if fail_on is None:
        return False
    worst = Severity(fail_on).rank
    return any(finding.state == "open" and finding.severity.rank <= worst for finding in findings)
