"""The one thread of unbug. The program does not find it among its own, and a fork waits until it is idle."""

from __future__ import annotations

import _thread
import os
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from unbug.session.faults import Faults
from unbug.session.leftover import await_at_exit

__all__ = ["Background"]

TICK_S = 0.5


@dataclass
class _Job:
    name: str
    period_s: float
    call: Callable[[], None]
    due: float = 0.0


class Background:
    """Calls each of its jobs now and then. A job that fails is told once and not called again.

    The thread is started below `threading`, so that a program which counts or lists its threads sees its own.
    """

    def __init__(self, faults: Faults, *, tick_s: float = TICK_S) -> None:
        self._faults, self._tick_s = faults, tick_s
        self._jobs: list[_Job] = []
        self._wake, self._ended = _thread.allocate_lock(), _thread.allocate_lock()
        self._idle = _thread.allocate_lock()
        self._stopping = False
        self._pid = 0
        self.cpu_s = 0.0

    def every(self, period_s: float, name: str, call: Callable[[], None]) -> None:
        """Call this about every `period_s`, from the next tick on."""
        self._jobs.append(_Job(name, period_s, call))

    def start(self) -> None:
        """Start the thread; while the interpreter shuts down none can be, and that is told."""
        self._pid = os.getpid()
        self._wake.acquire()
        self._ended.acquire()
        try:
            _thread.start_new_thread(self._loop, ())
        except RuntimeError as error:
            self._pid = 0
            self._faults.report("starting the thread", error)
        else:
            _alive.add(self)

    def stop(self, timeout_s: float = 1.0) -> bool:
        """End the thread after the job it is at; returns whether it has ended. Idempotent."""
        if self._pid != os.getpid():  # never started, or we are a forked child, which has no such thread
            return True
        if not self._stopping:
            self._stopping = True
            _alive.discard(self)
            self._wake.release()
        if not self._has_ended(timeout_s):
            await_at_exit(self._has_ended)
            return False
        return True

    def _has_ended(self, timeout_s: float) -> bool:
        ended = self._ended.acquire(timeout=timeout_s)
        if ended:
            self._ended.release()
        return ended

    @property
    def proceeds(self) -> bool:
        """Whether a job may go on; it is asked to end when this is false."""
        return not self._stopping

    def _loop(self) -> None:
        try:
            while not self._stopping:
                self._wake.acquire(timeout=self._tick_s)
                if self._stopping:
                    return
                with self._idle:
                    self._work()
        finally:
            self._ended.release()

    def _work(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs):
            if job.due > now or self._stopping:
                continue
            job.due = now + job.period_s - self._tick_s / 2
            try:
                job.call()
            except Exception as error:
                self._jobs.remove(job)
                self._faults.report(job.name, error)
        self.cpu_s = time.thread_time()


_alive: weakref.WeakSet[Background] = weakref.WeakSet()
_held: list[Background] = []


def _before_fork() -> None:
    """A lock that our thread held while the program forks would stay locked in the child for ever."""
    _held.extend(one for one in list(_alive) if one._idle.acquire(timeout=0.5))


def _after_fork() -> None:
    while _held:
        _held.pop()._idle.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
