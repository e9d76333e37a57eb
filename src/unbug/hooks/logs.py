"""What is told of other libraries: numbers and media logged, settings, files written and read.

The same rules hold as for `contract.Listener`: called in the thread where it happens, quick, keeps nothing of
the program's alive. What a method raises switches the tap off that called it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal, Protocol

from unbug.hooks.contract import Frame
from unbug.hooks.frames import user_frame

__all__ = ["FileCall", "Inside", "LogListener", "PutCall", "asked_by_user", "inside"]


@dataclass(frozen=True, kw_only=True)
class FileCall:
    """One outermost call that wrote a state to a file or read one.

    Args:
        by: The library.
        path: What it was given itself: a file, a folder, a name; may be relative, or a URL.
        inner: The paths of calls inside of it.
        states: What was written or read, as far as it is known; the program's own, not to be kept.
        error: What it raised.
    """

    action: Literal["saved", "loaded"]
    by: str
    path: str | None
    inner: tuple[str, ...]
    states: tuple[Any, ...]
    seconds: float
    error: BaseException | None = None


@dataclass(frozen=True, kw_only=True)
class PutCall:
    """One outermost call that put a state into a model or an optimizer.

    Args:
        into: Its class.
        state: What was put in; not to be kept.
        missing, unexpected, mismatched: Names, `(name, there, wanted)` for the last; None if not known.
    """

    what: Literal["model", "optimizer"]
    into: str
    by: str
    state: Any
    path: str | None = None
    missing: tuple[str, ...] | None = None
    unexpected: tuple[str, ...] | None = None
    mismatched: tuple[tuple[str, str, str], ...] | None = None
    seconds: float = 0.0
    error: BaseException | None = None


class LogListener(Protocol):
    """Who is told."""

    def number(self, origin: str) -> Callable[[str, Any, Any], None]:
        """What takes one logged value of an origin: name, value, step. The library itself has read it, if it
        lies on a device."""

    def numbers(self, origin: str, values: Mapping[Any, Any], user_step: Any, *, read: bool) -> None:
        """Several were; some may be no numbers. `read`: the library has read what lies on a device."""

    def media(self, origin: str, kind: str, name: str, user_step: Any) -> None:
        """An image, text, histogram … was logged."""

    def settings(
        self,
        origin: str,
        given: Any,
        *,
        name: str = "",
        defaults: Mapping[str, Any] | None = None,
        adds: bool = False,
        frame: Frame | None = None,
    ) -> None:
        """The program was set to this; `defaults` where they are known to the tap. `adds`: to what was told
        before."""

    def file(self, call: FileCall) -> None:
        """A file was written or read."""

    def put(self, call: PutCall) -> None:
        """A state was put into a model or an optimizer."""


class Inside(threading.local):
    """What this thread is inside of."""

    log = 0  # a logger that passes on what it is given to other loggers
    settings = 0  # a parser that calls other parsers
    files: Any = None  # the outermost save or load


inside = Inside()


def asked_by_user() -> Frame | None:
    """The line of the program's own that called the tapped function directly; None if a library did.

    To be called in `enter` or `leave`. Frames of the tapped function's own package are passed over.
    """
    depth, frame = 1, sys._getframe(1)
    while frame is not None and _package(frame) == "unbug":
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    own = None if frame is None else _package(frame)
    while frame is not None and _package(frame) == own:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    if frame is None:
        return None
    found = user_frame(depth + 1)
    if found is None or found.line != frame.f_lineno or found.function != frame.f_code.co_qualname:
        return None
    return found


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
