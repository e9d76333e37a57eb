"""Threads of unbug that are late: the interpreter does not end before them.

A thread that the ending interpreter stops in the middle of a library written in C++ takes the process down
with it: it ends by SIGABRT, "terminate called without an active exception". So what has not ended when its
time is up is waited for once more, after all that the program has registered to be called at its exit.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["LONGEST_S", "await_at_exit"]

LONGEST_S = 60.0
"""A thread is never late by as much, unless the machine is; then the process may still end by the signal."""

_late: list[tuple[int, Callable[[float], bool]]] = []


def await_at_exit(wait: Callable[[float], bool]) -> None:
    """Before the interpreter ends, call `wait` with the seconds left, until the thread has ended."""
    _late.append((os.getpid(), wait))


def _await() -> None:
    deadline = time.monotonic() + LONGEST_S
    with suppress(KeyboardInterrupt):
        while _late:
            process, wait = _late.pop()
            if process == os.getpid():
                wait(max(deadline - time.monotonic(), 0.0))


atexit.register(_await)
