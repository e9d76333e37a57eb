"""How a program ended."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from unbug.types import RunState

if TYPE_CHECKING:
    from unbug.session.reasons import Reason

__all__ = ["Ending", "ending_fields"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """State and exit code of the program, and the traceback if it failed.

    Args:
        error: Class and message of the exception, empty if there was none.
        late: The interpreter is shutting down already, so no thread can be started.
        signals: Names of those that came to the process that tells this.
    """

    state: RunState
    exit_code: int = 0
    error: str = ""
    traceback: str = ""
    late: bool = False
    signals: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException | None) -> Self:
        """What Python would make of an exception that nobody caught."""
        if error is None:
            return cls(state=RunState.FINISHED)
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            state = RunState.FINISHED if code == 0 else RunState.FAILED
            return cls(
                state=state, exit_code=code & 0xFF, error="" if code == 0 else f"SystemExit: {error.code}"
            )
        trace = "".join(traceback.format_exception(type(error), error, _without_ours(error.__traceback__)))
        text = "".join(traceback.format_exception_only(error)).strip()
        if isinstance(error, KeyboardInterrupt):
            return cls(state=RunState.INTERRUPTED, exit_code=130, error=text, traceback=trace)
        return cls(state=RunState.FAILED, exit_code=1, error=text, traceback=trace)


def ending_fields(ending: Ending, reason: Reason) -> dict[str, Any]:
    """The fields of an event `end`."""
    return {
        "state": ending.state.value,
        "exit_code": ending.exit_code,
        "reason": reason.kind,
        "text": reason.text,
        "sure": reason.sure,
        "signals": list(ending.signals),
    }


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins with the program's own frames."""
    own = __file__.rpartition("/session/")[0]
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith((own, "<frozen")):
        first = first.tb_next
    return first or trace
