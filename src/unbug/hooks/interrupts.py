"""Signals whose handlers raise while unbug is at work: what they raise passes, and unbug is not seen in it.

Ctrl-C, an alarm or a scheduler's warning may come at any line, so also at one of unbug's. What the handler
raises is the program's: it is no fault of unbug, and its traceback is to be the one without unbug.
"""

from __future__ import annotations

import os
import signal
import sys
from types import CodeType, TracebackType
from typing import Any

__all__ = ["from_signal", "show_as_bare"]

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120 - as frames


def from_signal(error: BaseException) -> bool:
    """Whether the handler of a signal raised it, and nothing that the interrupted code did."""
    return isinstance(error, KeyboardInterrupt) or _handler(error.__traceback__) is not None


def show_as_bare() -> bool:
    """Take unbug out of the traceback of what passes through a tap just now, if a signal raised it there.

    Returns:
        Whether one did, and so cut a call of unbug short.
    """
    error = sys.exc_info()[1]
    tap = None if error is None else error.__traceback__
    if error is None or tap is None or tap.tb_next is None:
        return False
    if not tap.tb_next.tb_frame.f_code.co_filename.startswith(_OWN) or not from_signal(error):
        return False
    tap.tb_next = _handler(tap.tb_next)
    return True


def _handler(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in a signal's handler; Python's own for Ctrl-C has no frame."""
    if trace is None:
        return None
    codes = {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    while trace is not None and trace.tb_frame.f_code not in codes:
        trace = trace.tb_next
    return trace


def _code(handler: Any) -> CodeType | None:
    """Of a function, a bound method, a partial or an object that can be called."""
    handler = getattr(handler, "func", handler)
    for one in (handler, getattr(handler, "__call__", None)):  # noqa: B004 - its code is what is asked for
        code = getattr(one, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None
