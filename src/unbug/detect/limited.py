"""A bound on the time of one rule, so that a slow one cannot keep the others from speaking."""

from __future__ import annotations

import _thread
import ctypes
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from unbug.errors import StoppedError

if TYPE_CHECKING:
    from unbug.detect.declaration import Rule

__all__ = ["LIMIT_S", "Patience", "RuleTooSlowError", "limited"]

LIMIT_S = 5.0
"""Seconds that one rule may look at one training; ours take milliseconds."""
_LAST_S = 0.5

Answer = TypeVar("Answer")


class RuleTooSlowError(Exception):
    """A rule did not answer in its time."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        super().__init__(f"took longer than {limit_s:g} s and was left out")


class Patience:
    """Asks rules, each with its time. It is itself the question, put before a series is read, whether to go
    on.

    Args:
        proceed: Whether the diagnosis is still wanted.
    """

    def __init__(self, limit_s: float = LIMIT_S, proceed: Callable[[], bool] | None = None) -> None:
        self._limit_s, self._proceed = limit_s, proceed
        self._until = float("inf")
        self.spent: set[str] = set()

    def __call__(self) -> bool:
        return self._wanted() and time.thread_time() < self._until

    def ask(self, rule: Rule, call: Callable[[], Answer]) -> Answer:
        """What the rule answers. Ours can be asked to end when they read, after so much processor time;
        others' have a thread, which is interrupted. A rule that was too slow once is in `spent`.

        Raises:
            RuleTooSlowError: it did not answer in time.
            StoppedError: the diagnosis is not wanted any more.
        """
        if not self._wanted():
            raise StoppedError
        try:
            if rule.origin == "unbug":
                self._until = time.thread_time() + self._limit_s
                return call()
            return limited(call, limit_s=self._limit_s, proceed=self._wanted)
        except RuleTooSlowError:
            self.spent.add(rule.code)
            raise
        except StoppedError:
            if not self._wanted():
                raise
            self.spent.add(rule.code)
            raise RuleTooSlowError(self._limit_s) from None
        finally:
            self._until = float("inf")

    def _wanted(self) -> bool:
        return self._proceed is None or self._proceed()


def limited(
    call: Callable[[], Answer], *, limit_s: float = LIMIT_S, proceed: Callable[[], bool] | None = None
) -> Answer:
    """What the call answers. It runs in a thread of its own, which is interrupted when its time is over.

    Args:
        proceed: Asked now and then whether to go on waiting.
    Raises:
        RuleTooSlowError: it did not answer in time.
        StoppedError: `proceed` said no.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []
    idents: list[int] = []
    ended = _thread.allocate_lock()
    ended.acquire()

    def work() -> None:
        idents.append(_thread.get_ident())
        try:
            answers.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.release()

    # Below `threading`, so that a program which counts its threads sees its own.
    _thread.start_new_thread(work, ())
    until = time.monotonic() + limit_s
    while not ended.acquire(timeout=0.05):
        stopped = proceed is not None and not proceed()
        if stopped or time.monotonic() > until:
            for ident in idents:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(ident), ctypes.py_object(SystemExit)
                )
            ended.acquire(timeout=_LAST_S)
            raise StoppedError if stopped else RuleTooSlowError(limit_s)
    if errors:
        raise errors[0]
    return answers[0]
