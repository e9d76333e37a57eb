"""States are put into models and optimizers: what fits, and what does not."""

from __future__ import annotations

import re
import sys
from time import perf_counter
from typing import Any, Literal

from unbug.hooks.logs import LogListener, PutCall, inside
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED

__all__ = ["Action", "Scope", "put_tap", "raised_now"]

Action = Literal["saved", "loaded"]
_GUARD = "calls inside another one of these"
_MOST_STATES = 64
_MISSING = re.compile(r"Missing key\(s\) in state_dict: (.*?)\. ?(?=\n|$)", re.DOTALL)
_UNEXPECTED = re.compile(r"Unexpected key\(s\) in state_dict: (.*?)\. ?(?=\n|$)", re.DOTALL)
_MISMATCHED = re.compile(
    r"size mismatch for (.+?): copying a param with shape (.+?) from checkpoint, "
    r"the shape in current model is (.+?)\.(?=\n|$)"
)


class Scope:
    """One outermost call, and what was met inside of it."""

    __slots__ = ("action", "begun", "by", "inner", "into", "misfits", "path", "states")

    def __init__(self, action: Action | None, by: str) -> None:
        self.action, self.by = action, by
        self.begun = perf_counter()
        self.path: str | None = None
        self.inner: list[str] = []
        self.states: list[Any] = []
        self.misfits: tuple[Any, Any, Any] | None = None
        self.into = ""

    def met(self, path: str | None, state: Any) -> None:
        """A call inside of this one wrote or read a state; None for what is not known."""
        if path is not None and len(self.inner) < _MOST_STATES:
            self.inner.append(path)
        if state is not None and len(self.states) < _MOST_STATES:
            self.states.append(state)

    def fits(self, into: str, misfits: tuple[Any, Any, Any]) -> None:
        """A model inside of this call took a state; what did not fit is kept."""
        if self.misfits is None or any(misfits):
            self.into, self.misfits = into, misfits


def raised_now() -> BaseException | None:
    """What the tapped function raises; asked in `leave`."""
    return sys.exc_info()[1]


def put_tap(to: LogListener, name: str, what: Literal["model", "optimizer"]) -> Spec:
    """A tap of `load_state_dict`."""

    def enter() -> Scope | None:
        if inside.files is not None:
            return None
        scope = Scope(None, "torch")
        inside.files = scope
        return scope

    def leave(scope: Scope | None, value: Any, self: Any, state_dict: Any) -> None:
        outer: Scope | None = inside.files
        if outer is None:
            return
        error = raised_now() if value is RAISED else None
        misfits = missing, unexpected, mismatched = _misfits(value, error)
        if scope is None:
            if outer.action is not None and missing is not None:
                outer.fits(type(self).__name__, misfits)
            return
        inside.files = None
        to.put(
            PutCall(
                what=what,
                into=type(self).__name__,
                by="torch",
                state=state_dict,
                missing=missing,
                unexpected=unexpected,
                mismatched=mismatched,
                seconds=perf_counter() - scope.begun,
                error=error,
            )
        )

    return Spec(
        name=name,
        what=f"states put into a {what}",
        guard=_GUARD,
        enter=enter,
        leave=leave,
        leave_names=("self", "state_dict"),
    )


def _misfits(value: Any, error: BaseException | None) -> tuple[Any, Any, Any]:
    """Missing, unexpected and mismatched names, from what was returned or from what the error says."""
    if error is None:
        missing, unexpected = (getattr(value, f"{one}_keys", None) for one in ("missing", "unexpected"))
        if missing is None or unexpected is None:
            return None, None, None
        return tuple(map(str, missing)), tuple(map(str, unexpected)), ()
    if type(error) is not RuntimeError:
        return None, None, None
    text = str(error)
    shapes = [found.groups() for found in _MISMATCHED.finditer(text)]
    lists = [found for found in (_MISSING.search(text), _UNEXPECTED.search(text)) if found]
    if not shapes and not lists:
        return None, None, None
    return _named(_MISSING, text), _named(_UNEXPECTED, text), tuple(shapes)


def _named(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = pattern.search(text)
    return () if found is None else tuple(re.findall(r'"(.*?)"', found[1]))
