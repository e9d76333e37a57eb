"""`unbug run -- COMMAND…`: start a command whose Python processes join one run, and end as it does.

The command gets the terminal, the standard streams, the inherited files and the process group that it would
have without unbug. This process only waits: it never imports torch. A signal that is sent to it alone is
passed on; those of the terminal reach the command by themselves.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from unbug.errors import CommandNotFoundError
from unbug.session import current
from unbug.session.ending import Ending
from unbug.session.naming import name_of_script
from unbug.session.opening import open_recording
from unbug.types import RunState

if TYPE_CHECKING:
    from unbug.settings import Settings

__all__ = ["run_processes"]

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_BY_KERNEL = 0x80
"""`si_code` of a signal of the terminal, which the whole process group got."""


def run_processes(words: Sequence[str], *, settings: Settings) -> NoReturn:
    """Run a command, its processes recorded; with `UNBUG=0` it runs bare.

    Raises:
        SystemExit: always, with the command's exit code; if a signal ended it, the same ends this process.
        CommandNotFoundError: there is no such command.
        StoreError: the run's folder cannot be made.
    """
    if shutil.which(words[0]) is None:
        raise CommandNotFoundError(words[0])
    if not settings["enabled"]:
        os.execvp(words[0], list(words))
    recording = open_recording(settings, name=_name(words), command=words, of_processes=True)
    current.begin(recording, of_command=True)
    seen: list[signal.Signals] = []
    if hasattr(signal, "sigwaitinfo") and hasattr(os, "posix_spawnp"):
        with _signals_held() as free:
            recording.start()
            code = _wait(_start(words, free), seen)
    else:
        recording.start()
        code = _run_elsewhere(words, seen)
    ending = _ending(code, seen)
    found = recording.close(ending)
    if code < 0 and not found:
        _end_by(-code)
    raise SystemExit(found or code)


def _name(words: Sequence[str]) -> str:
    """Of the first script among the words, else the command's."""
    for word in words:
        if word.endswith(".py"):
            return name_of_script(word)
    return Path(words[0]).name


@contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """Hold back what is to be waited for, in this thread and those that it starts; gives what was held
    before."""
    wanted = {getattr(signal, name) for name in _PASSED_ON} | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    try:
        yield {signal.Signals(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(words: Sequence[str], mask: set[signal.Signals]) -> int:
    """Start the command with the signals as this process found them, but for two that Python ignores."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    try:
        return os.posix_spawnp(
            words[0],
            list(words),
            os.environ,
            setsigmask=mask,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        raise CommandNotFoundError(words[0], reason=(error.strerror or str(error)).lower()) from None


def _wait(child: int, seen: list[signal.Signals]) -> int:
    """Pass on signals until the command ends; its exit code, negative if a signal ended it."""
    wanted = {getattr(signal, name) for name in _PASSED_ON} | {signal.SIGCHLD}
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        told = signal.sigwaitinfo(wanted)
        if told.si_signo == signal.SIGCHLD:
            continue
        seen.append(signal.Signals(told.si_signo))
        if told.si_code != _BY_KERNEL:
            with suppress(ProcessLookupError):
                os.kill(child, told.si_signo)


def _run_elsewhere(words: Sequence[str], seen: list[signal.Signals]) -> int:
    """The same where signals cannot be waited for (macOS, Windows): handlers pass them on, but for Ctrl-C,
    which the terminal gives to both."""
    child = subprocess.Popen(list(words), close_fds=False)

    def note(number: int, frame: object) -> None:
        seen.append(signal.Signals(number))
        if number != signal.SIGINT:
            child.send_signal(number)

    for name in _PASSED_ON:
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), note)
    return child.wait()


def _ending(code: int, seen: Sequence[signal.Signals]) -> Ending:
    number = -code if code < 0 else code - 128 if 128 < code < 160 else 0
    if number == signal.SIGINT or (code and signal.SIGINT in seen):
        return Ending(state=RunState.INTERRUPTED, exit_code=130, signals=_names(seen))
    if code < 0:
        name = signal.Signals(number).name
        return Ending(
            state=RunState.KILLED,
            exit_code=128 + number,
            error=f"the command was ended by {name}",
            signals=(*_names(seen), name),
        )
    state = RunState.FINISHED if code == 0 else RunState.FAILED
    error = f"the command ended with code {code}" if code else ""
    return Ending(state=state, exit_code=code, error=error, signals=_names(seen))


def _names(seen: Sequence[signal.Signals]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in seen))


def _end_by(number: int) -> NoReturn:
    """End as the command did, so that who waits for this process sees the same."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its own
    with suppress(ValueError, OSError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # a signal that does not end a process
