"""Which line of the user's program made a call."""

# ruff: noqa: PTH100, PTH118, PTH120
# pathlib is ten times slower, and resolves links that tracebacks keep

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType
from typing import Any

from unbug.hooks.cells import cell_name, in_shell
from unbug.hooks.contract import Frame

__all__ = ["user_frame", "user_scopes", "waits_for_input"]

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))
_LIBRARY = (os.path.join(_STDLIB, ""), os.path.join(os.path.realpath(_STDLIB), ""))
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_MOST = 4096
_FUNCTION, _ALONE = 0x2, 3  # CO_NEWLOCALS; the frame, the variable and the question
_READERS = frozenset(("locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe", "stack"))

_is_user: dict[str, bool] = {}
_known: dict[tuple[int, int], tuple[Frame, CodeType]] = {}  # the code is kept so that its id stays its own


def user_frame(depth: int = 1) -> Frame | None:
    """The innermost frame outside site-packages, the standard library and unbug.

    Where there is none (the program is an installed module), the innermost one of `__main__`; else None.

    Args:
        depth: Frames to skip before looking.
    """
    try:
        frame: FrameType | None = sys._getframe(depth)
    except ValueError:
        return None
    start = frame
    while frame is not None:
        name = frame.f_code.co_filename
        mine = _is_user.get(name)
        if mine is None:
            mine = _classify(name)
        if mine:
            return _describe(frame)
        frame = frame.f_back
    while start is not None:
        if start.f_globals.get("__name__") == "__main__" and not start.f_code.co_filename.startswith(
            (_OWN, "<frozen")
        ):
            return _describe(start)
        start = start.f_back
    return None


def user_scopes(depth: int = 1, *, most: int = 3) -> list[dict[str, Any]]:
    """What names mean in the program's innermost functions and then in the module of the first; read it now.

    Args:
        depth: Frames to skip before looking.
        most: Frames of the program at most.
    """
    try:
        frame: FrameType | None = sys._getframe(depth)
    except ValueError:
        return []
    found: list[dict[str, Any]] = []
    whole: dict[str, Any] | None = None
    while frame is not None and most > 0:
        name = frame.f_code.co_filename
        mine = _is_user.get(name)
        if mine is None:
            mine = _classify(name)
        if mine:
            most -= 1
            whole = frame.f_globals if whole is None else whole
            if frame.f_code.co_flags & _FUNCTION and not _reads_names(frame.f_code):
                found.append(_locals_of(frame))
        frame = frame.f_back
    return found if whole is None else [*found, whole]


def _reads_names(code: CodeType) -> bool:
    """Whether a function may hold the very dictionary of its variables that a look would bring up to date."""
    return sys.version_info < (3, 13) and (
        sys.gettrace() is not None or not _READERS.isdisjoint(code.co_names)
    )


def _locals_of(frame: FrameType) -> dict[str, Any]:
    """Variables of a function. Before Python 3.13 the frame keeps what is read, which must not outlive it."""
    read = frame.f_locals
    found = dict(read)
    if sys.version_info < (3, 13) and sys.getrefcount(read) <= _ALONE:
        read.clear()
    return found


def waits_for_input(frame: FrameType | None) -> bool:
    """Whether a thread with this innermost frame is a notebook's that runs no cell: nothing of the program is
    on its stack, and the next line is a person's to type."""
    if not in_shell():
        return False
    while frame is not None:
        name = frame.f_code.co_filename
        if _classify(name) and not name.rpartition(os.sep)[2].startswith("ipython"):  # its command
            return False
        frame = frame.f_back
    return True


def _describe(frame: FrameType) -> Frame:
    code = frame.f_code
    key = (id(code), frame.f_lasti)
    known = _known.get(key)
    if known is None:
        if len(_known) >= _MOST:
            _known.clear()
        file = cell_name(code.co_filename) or code.co_filename
        known = _known[key] = (Frame(file, frame.f_lineno, code.co_qualname), code)
    return known[0]


def _classify(name: str) -> bool:
    if name.startswith("<"):  # generated code is nobody's; what was typed or given with -c is the user's
        user = name in ("<stdin>", "<string>") or name.startswith("<ipython")
    else:
        path = os.path.abspath(name)
        library = (
            path.startswith(_LIBRARY) or path.startswith(_OWN) or any(part in path for part in _PACKAGES)
        )
        user = not library
    if len(_is_user) >= _MOST:
        _is_user.clear()
    _is_user[name] = user
    return user
