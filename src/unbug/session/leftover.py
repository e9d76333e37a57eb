"""Threads of unbug that are late: the interpreter does not end before them.

A thread that the ending interpreter stops in the middle of a library written in C++ takes the process down
with it: it ends by SIGABRT, "terminate called without an active exception". So what has not ended when its
time is up is waited for once more, after all that the program has registered to be called at its exit.

The interpreter notes that an interrupt was not caught, and ends by SIGINT for it; but it forgets that as soon
as any thread executes a text, which dataclasses do. So it is told again once the threads have ended.
"""

from __future__ import annotations

import atexit
import os
import sys
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
    waited = False
    with suppress(KeyboardInterrupt):
        while _late:
            process, wait = _late.pop()
            if process == os.getpid():
                waited = True
                wait(max(deadline - time.monotonic(), 0.0))
    if waited and _ends_by_interrupt():
        with suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")


def _ends_by_interrupt() -> bool:
    """Whether an interrupt that nobody caught ends the program; at a prompt, one only ends what was typed."""
    return isinstance(getattr(sys, "last_value", None), KeyboardInterrupt) and not hasattr(sys, "ps1")


atexit.register(_await)
