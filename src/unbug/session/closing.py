"""The end of a recording: undo first, then write, then look once more, then speak; all within a second.

The probes, between the first two, have a limit of their own.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from unbug.errors import StoppedError
from unbug.session.display import show_at_end
from unbug.session.ending import ending_fields
from unbug.session.environment import torch_facts
from unbug.session.leftover import await_at_exit
from unbug.session.live import counts, reaches
from unbug.session.probing import probe
from unbug.session.rules import rule_settings
from unbug.session.standing import last_loss
from unbug.types import RunState, Training

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.session.ending import Ending
    from unbug.session.recording import Recording

__all__ = ["close"]

Answer = TypeVar("Answer")

CLOSING_S = 1.0
"""Bound of the whole closing on a machine that has nothing else to do. The last diagnosis gets what is left
of it as processor time, or this share of the run, and at most `LONGEST_S` of wall time: where the machine is
busy, or the run was long, findings are worth a wait."""
LEAST_S, LONGEST_S, RESERVE_S, SHARE = 0.5, 3.0, 0.1, 0.01


class _Interrupt:
    """Whether Ctrl-C was pressed while closing: it cuts the diagnosis short, and never the undoing."""

    asked = False


def close(recording: Recording, ending: Ending) -> int:
    """Close a recording; see `Recording.close`."""
    began = time.monotonic()
    faults = recording.faults
    ending = recording.stopper.ending(ending)
    with _uninterrupted() as interrupt:
        recording.retire()
        _undo(recording)
        began += probe(recording, ending, stop=lambda: interrupt.asked)
        _write_end(recording, ending)
        diagnosis = None
        with faults.guard("diagnosing"):
            left = max(CLOSING_S - RESERVE_S - (time.monotonic() - began), LEAST_S)
            left = max(left, SHARE * (began - recording.began_s))
            diagnosis = _diagnose(recording, interrupt, limit_s=None if ending.late else left)
        with faults.guard("writing the status"):
            if diagnosis is not None:
                recording.live.tell(diagnosis.findings, aloud=False)
            recording.standing.write_end(ending)
        with faults.guard("saying what was found"):
            _speak(recording, diagnosis)
        with faults.guard("notifying"):
            recording.notifier.close()
        with faults.guard("writing"):
            recording.live.close()
            recording.writer.close(deadline_s=max(CLOSING_S - (time.monotonic() - began), 0.1))
    if interrupt.asked and ending.state is not RunState.INTERRUPTED:
        raise KeyboardInterrupt
    if recording.stopper.stopped:
        return 3 if ending.state is RunState.INTERRUPTED else 0
    found = diagnosis or recording.live.last
    failing = found is not None and reaches(found.findings, recording.settings["fail_on"])
    return 3 if failing and ending.exit_code == 0 and ending.state is RunState.FINISHED else 0


def _undo(recording: Recording) -> None:
    """Take everything out of the program's process."""
    faults = recording.faults
    recording.forget_torch()
    recording.inherited.take_back()
    with faults.guard("watching torch"):
        recording.observer.end()
    with faults.guard("stopping the thread"):
        recording.background.stop(0.5)
    with faults.guard("keeping the console"):
        recording.capture.remove()


def _write_end(recording: Recording, ending: Ending) -> None:
    writer, now_ns, faults = recording.writer, time.monotonic_ns(), recording.faults
    with faults.guard("keeping the source"):
        recording.sources.take_new()
    with faults.guard("keeping media"):
        recording.media.close()
    with faults.guard("writing the end"):
        _say_how_it_ended(recording, ending, now_ns=now_ns)
    with faults.guard("writing"):
        writer.flush()
    with faults.guard("writing the status"):
        recording.standing.write_end(ending)


def _say_how_it_ended(recording: Recording, ending: Ending, *, now_ns: int) -> None:
    writer, facts = recording.writer, torch_facts()
    if facts:
        writer.event("environment", {"torch": facts}, t_ns=now_ns)
    reason = recording.standing.reason_of(ending)
    writer.event("end", ending_fields(ending, reason), t_ns=now_ns)
    if ending.error and not recording.of_processes and not recording.stopper.stopped:
        writer.event("crash", {"error": ending.error, "traceback": ending.traceback}, t_ns=now_ns)
    coverage: dict[str, Any] = dict(recording.observer.coverage())
    recording.standing.recorded(sum(int(one.get("steps", 0)) for one in coverage.get("trainings", ())))
    unseen = [
        *coverage.get("unseen", ()),
        *recording.capture.coverage(),
        *recording.faults.told,
        *recording.unknown(),
    ]
    if recording.absence:
        unseen.append(recording.absence)
    coverage["unseen"] = [*unseen, *recording.media.in_words()]
    coverage["background_cpu_s"] = round(recording.background.cpu_s, 4)
    coverage["live_looks"] = recording.live.looks
    coverage["live_cpu_s"] = round(recording.live.cpu_s, 4)
    coverage["lost"] = list(writer.lost)
    writer.event("coverage", coverage, t_ns=now_ns)


def _diagnose(recording: Recording, interrupt: _Interrupt, *, limit_s: float | None) -> Diagnosis | None:
    """The findings of the whole run; None where that takes too much time, or somebody is waiting."""

    def look(proceed: Callable[[], bool]) -> tuple[Diagnosis, float | None, tuple[Training, ...]]:
        from unbug.detect import diagnose
        from unbug.store import open_reader

        reader = open_reader(recording.path)
        try:
            found = diagnose(reader, settings=rule_settings(recording.settings), proceed=proceed)
            return found, last_loss(reader), reader.trainings()
        finally:
            reader.close()

    if interrupt.asked:
        return None
    if limit_s is None:
        answer = look(lambda: True)
    else:
        bounded = _bounded(look, limit_s=limit_s, until=lambda: interrupt.asked)
        if bounded is None:
            return None
        answer = bounded
    diagnosis, loss, trainings = answer
    recording.standing.take(counts(diagnosis.findings), loss, trainings)
    for fault in diagnosis.faults:
        text = f"{fault.rule or 'a plug-in'}: {fault.error}"
        recording.faults.report(f"rule {fault.rule}" if fault.rule else "loading rules", RuntimeError(text))
    return diagnosis


def _bounded(
    call: Callable[[Callable[[], bool]], Answer], *, limit_s: float, until: Callable[[], bool]
) -> Answer | None:
    """Call in a thread of our own that shall end after so much processor time, and after `LONGEST_S`."""
    answer: list[Answer] = []
    errors: list[BaseException] = []
    stopped: list[bool] = []
    ended = _thread.allocate_lock()
    ended.acquire()

    def work() -> None:
        try:
            answer.append(call(lambda: not stopped and time.thread_time() < limit_s))
        except StoppedError:
            pass  # the time was over
        except BaseException as error:
            errors.append(error)
        finally:
            ended.release()

    _thread.start_new_thread(work, ())
    deadline = time.monotonic() + LONGEST_S
    while not ended.acquire(timeout=0.02):
        if time.monotonic() > deadline or until():
            stopped.append(True)
            if not ended.acquire(timeout=0.3):
                await_at_exit(lambda left_s: ended.acquire(timeout=left_s))
            return None
    if errors:
        raise errors[0]
    return answer[0] if answer else None


def _speak(recording: Recording, diagnosis: Diagnosis | None) -> None:
    voice = recording.voice
    if voice.is_quiet:
        return
    if recording.absence:
        voice.say(f"unbug: {recording.absence}, so there is no training in this run")
    elif diagnosis is None:
        voice.say(f"unbug: the findings are not complete; `unbug diagnose {recording.path.name}` states them")
    else:
        from unbug.report import terminal

        text = terminal(
            diagnosis,
            width=voice.width,
            color=voice.color,
            ascii_only=voice.is_ascii,
            language=recording.settings["lang"],
        )
        if not show_at_end(recording, diagnosis, text):
            voice.say(text.rstrip())
    for line in recording.writer.lost:
        voice.say(f"unbug: lost: {line}")
    if diagnosis is None or recording.absence:  # the findings end with it
        voice.say(f"unbug: run {recording.path}")


@contextmanager
def _uninterrupted() -> Iterator[_Interrupt]:
    """Note Ctrl-C instead of raising it in the middle of an undo. Elsewhere than in the main thread it cannot
    come."""
    interrupt = _Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def note(number: int, frame: object) -> None:
        interrupt.asked = True

    before = signal.getsignal(signal.SIGINT)
    if before is None or before is signal.SIG_IGN:  # not Python's, or switched off: not ours to replace
        yield interrupt
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        with suppress(ValueError, TypeError):
            signal.signal(signal.SIGINT, before)
