"""Probes in a process of their own: a fork of this one, which shares its memory until one of the two writes.

Whatever a probe does to the model, to generators, to what is printed, and also if it crashes or hangs: the
program's process does not notice.

A fork is not made where it would be noticed, or may not work: elsewhere than on Linux, with CUDA in use, from
another than the main thread, and where the program asked to hear of children that end.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from unbug.checks.probes.running import Asked

__all__ = ["Apart", "can_be_apart", "in_child"]

_SLACK_S = 0.5
"""After which, above its limit, a child ends by itself if nobody kills it."""


class Apart:
    """What a child told.

    Args:
        asked: What came of the probes.
        peak_mb: Most memory that the child had of its own; None if it did not tell.
    """

    __slots__ = ("asked", "peak_mb")

    def __init__(self, asked: list[Asked], peak_mb: float | None) -> None:
        self.asked, self.peak_mb = asked, peak_mb


def can_be_apart() -> bool:
    """Whether a child may be forked here."""
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return False
    torch = sys.modules.get("torch")
    if (
        torch is None or torch.cuda.is_initialized()
    ):  # autograd cannot be used behind a fork once it has threads
        return False
    return signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL


def in_child(
    work: Callable[[], Iterable[Asked]], *, limit_s: float, stop: Callable[[], bool], training: int
) -> Apart | None:
    """Do `work` in a fork of this process, which is killed when the time is over.

    Args:
        work: Its answers are told as they come.
        limit_s: Until the child is killed.
        stop: Asked every 20 ms; the child is killed if it says so.
        training: That is named if the child comes to an end before it has told all.
    Returns:
        What the child told; None if there can be no fork now.
    """
    reading, writing = os.pipe()
    began = time.monotonic()
    try:
        with _unwarned():
            child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return None
    if not child:
        _be_child(work, writing, kill_after_s=limit_s + _SLACK_S)
    os.close(writing)
    try:
        text, why_not = _listen(reading, began + limit_s, stop)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it has ended, or must
        ended = _wait(child)
    apart, whole = _understood(text)
    if not whole:
        why_not = why_not or (f"their process ended with signal {ended}" if ended else "their process failed")
        apart.asked.append(Asked("all", training, "", time.monotonic() - began, why_not=why_not))
    return apart


def _be_child(work: Callable[[], Iterable[Asked]], writing: int, *, kill_after_s: float) -> NoReturn:
    """Work, tell, and end without any of what the program does when it ends."""
    try:
        import resource

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends this
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, kill_after_s)  # should the parent be gone
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nowhere, standard)
        sys.stdout = sys.stderr = io.StringIO()  # the program's may be other files
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # if memory is short, this goes first
        import torch

        torch.set_num_threads(1)  # threads of the parent's pool do not exist here
        resident = _sizes_mb("status").get("VmRSS")
        for one in work():
            _tell(writing, asdict(one) | {"peak_mb": _peak_mb(resident)})
        _tell(writing, {})
    finally:
        os._exit(0)


def _tell(writing: int, fields: Mapping[str, Any]) -> None:
    left = json.dumps(fields, default=_number).encode() + b"\n"
    while left:
        left = left[os.write(writing, left) :]


def _listen(reading: int, deadline: float, stop: Callable[[], bool]) -> tuple[bytes, str]:
    """What the child told; and why it was not heard to the end, in words, empty if it was."""
    text = b""
    while True:
        if select.select([reading], [], [], 0.02)[0]:
            part = os.read(reading, 1 << 16)
            if not part:
                return text, ""
            text += part
        elif stop():
            return text, "somebody waits for the end"
        if time.monotonic() > deadline:
            return text, "the time for probes was over"


def _understood(text: bytes) -> tuple[Apart, bool]:
    """What was told in whole lines; and whether the child told that there is no more."""
    apart = Apart([], None)
    for line in text.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:  # cut in the middle
            break
        if not fields:
            return apart, True
        apart.peak_mb = fields.pop("peak_mb")
        apart.asked.append(Asked(**fields))
    return apart, False


def _wait(child: int) -> int:
    """The signal that ended it; 0 if it ended by itself."""
    with suppress(ChildProcessError):
        _, status = os.waitpid(child, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return 0


def _peak_mb(resident: float | None) -> float | None:
    """Most memory that was added since the fork, and what was written of the shared pages."""
    status, pages = _sizes_mb("status"), _sizes_mb("smaps_rollup")
    if resident is None or not status or not pages:
        return None
    own = pages["Private_Dirty"] + pages["Private_Clean"]
    copied = max(own - (status["VmRSS"] - resident), 0.0)
    return status["VmHWM"] - resident + copied


def _sizes_mb(table: str) -> dict[str, float]:
    """The rows in kB of a table that the system keeps of this process."""
    try:
        lines = Path("/proc/self", table).read_text().splitlines()
    except OSError:
        return {}
    rows = (line.split() for line in lines if line.endswith(" kB"))
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows}


def _number(value: Any) -> Any:
    """A number of numpy's, or a tensor's, as Python's own."""
    return value.item()


@contextmanager
def _unwarned() -> Iterator[None]:
    """Python 3.12 warns of forks where there are threads. Not by `catch_warnings`, see `untouched`."""
    filters = list(warnings.filters)
    warnings.filters.insert(0, ("ignore", None, DeprecationWarning, None, 0))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        warnings.filters[:] = filters  # type: ignore[index]
