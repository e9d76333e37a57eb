"""`--stop-on SEVERITY`: end a program whose training is hopeless, as Ctrl-C would, and say what that saves.

An interrupt is what programs and frameworks know how to end by: `finally` blocks run, files are closed, a
trainer that catches it leaves its loop. It is not sent while the main thread is about to save something.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from unbug.session.ending import Ending
from unbug.session.planned import Planned, live_bars, main_numbers, planned
from unbug.types import Bilingual, RunState, Severity

if TYPE_CHECKING:
    from unbug.session.faults import Faults
    from unbug.store import Reader
    from unbug.types import Finding

__all__ = ["PATIENCE_S", "Stopper", "is_saving", "saved_words"]

PATIENCE_S = 60.0
"""How long a save may put the stop off."""
_SAVES = ("save", "checkpoint", "dump", "write_", "serialize")
_DEEP = 60


class Stopper:
    """Waits for the first finding that is bad enough, then ends the program.

    Args:
        stop_on: `error`, `warning`, or None for never.
        position: Training, step, micro and phase now.
        event: Writes an event of kind `stop`.
        say: Says a text in the user's language.
        of_processes: The program runs in processes of a command; that is interrupted.
    """

    def __init__(
        self,
        stop_on: str | None,
        *,
        position: Callable[[], tuple[int, int, int, int]],
        event: Callable[[Mapping[str, Any]], None],
        say: Callable[[Bilingual], None],
        faults: Faults,
        of_processes: bool = False,
        interrupt: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop_on, self._position = stop_on, position
        self._event, self._say, self._faults = event, say, faults
        self._of_processes, self._clock = of_processes, clock
        self._interrupt = interrupt or (_interrupt_self if of_processes else _interrupt_main)
        self._finding: Finding | None = None
        self._began_s: float | None = None
        self._asked_s = 0.0
        self.stopped = False
        """Whether the program was told to end."""
        self.words = Bilingual()

    def tell(self, finding: Finding) -> None:
        """Take note of a finding; the first that is bad enough decides."""
        if self._stop_on is None or self._finding is not None or not finding.is_alert:
            return
        if finding.severity.rank <= Severity(self._stop_on).rank:
            self._finding, self._asked_s = finding, self._clock()

    def look(self, reader: Reader | None) -> None:
        """End the program if it is to end and is not saving anything; called every tick."""
        if self._began_s is None and self._position()[0] >= 0:
            self._began_s = self._clock()
        finding = self._finding
        if finding is None or self.stopped:
            return
        late = self._clock() - self._asked_s > PATIENCE_S
        if not self._of_processes and not late and is_saving(_main_frame()):
            return
        step = self._position()[1]
        if reader is not None and self._of_processes:
            step = max((one.steps for one in reader.trainings() if one.number == finding.training), default=0)
        plan = None
        with self._faults.guard("asking how long it would have taken"):
            events = reader.events(training=finding.training) if reader is not None else ()
            outside = reader.events(training=-1) if reader is not None else ()
            plan = planned(step, (*outside, *events), bars=live_bars(), numbers=main_numbers())
        spent_s = 0.0 if self._began_s is None else self._clock() - self._began_s
        self.words = saved_words(finding, step, plan, spent_s=spent_s)
        self.stopped = True
        self._event(
            {
                "finding": finding.id,
                "rule": finding.rule,
                "step": step,
                "planned_steps": None if plan is None else plan.steps,
                "planned_by": None if plan is None else plan.by,
            }
        )
        self._say(self.words)
        if not self._interrupt():
            self.stopped, self._finding, self._stop_on = False, None, None
            self._say(
                Bilingual(
                    "the program does not take interrupts, so it goes on", "程序不接受中断，因此继续运行"
                )
            )

    def ending(self, ending: Ending) -> Ending:
        """How the run ended, where it ended because of this."""
        if not self.stopped or ending.state is RunState.FAILED:
            return ending
        return replace(
            ending,
            state=RunState.INTERRUPTED,
            exit_code=3,
            error=f"stopped by unbug: {self.words}",
            traceback="",
        )


def saved_words(finding: Finding, made: int, plan: Planned | None, *, spent_s: float) -> Bilingual:
    """What is said when a program is stopped."""
    head = Bilingual(
        f"stopped after {made:,} steps, since {finding.rule} {finding.name} stands",
        f"因 {finding.rule} {getattr(finding.name, 'zh', finding.name)} 在第 {made:,} 步后停止",
    )
    if plan is None:
        return head + Bilingual(
            "; how many more there were to be is not known", "；原计划的步数未知，无法说明省下多少"
        )
    left = plan.steps - made
    left_s = spent_s / max(made, 1) * left
    return head + Bilingual(
        f"; {left:,} of {plan.steps:,} steps by {plan.by} are saved"
        + (f", about {_time(left_s)}" if left_s else ""),
        f"；原计划 {plan.steps:,} 步，省下 {left:,} 步" + (f"，约 {_time_zh(left_s)}" if left_s else ""),
    )


def is_saving(frame: FrameType | None) -> bool:
    """Whether a function on this stack saves something, by its name or by being torch's."""
    deep = 0
    while frame is not None and deep < _DEEP:
        name = frame.f_code.co_name.lower()
        if name != "<module>" and any(word in name for word in _SAVES):
            return True
        frame, deep = frame.f_back, deep + 1
    return False


def _main_frame() -> FrameType | None:
    return sys._current_frames().get(threading.main_thread().ident or 0)


def _interrupt_main() -> bool:
    """Interrupt the main thread as Ctrl-C would, without the traceback; false where that is switched off."""
    handler = signal.getsignal(signal.SIGINT)
    if handler in (signal.SIG_IGN, signal.SIG_DFL, None):
        return False
    hook = sys.excepthook

    def silent(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = hook
        if not issubclass(kind, KeyboardInterrupt):
            hook(kind, error, trace)

    sys.excepthook = silent
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()
    return True


def _interrupt_self() -> bool:
    """To this process, which passes it on to its command."""
    with suppress(OSError):
        os.kill(os.getpid(), signal.SIGINT)
    return True


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def _time_zh(seconds: float) -> str:
    number, unit = _time(seconds).split()
    return f"{number} {({'days': '天', 'h': '小时', 'min': '分钟', 's': '秒'})[unit]}"
