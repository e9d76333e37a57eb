"""Which program is to be run: a script, a folder or archive with `__main__`, or a module."""

# ruff: noqa: PTH118, PTH109, PTH112, PTH113, PTH123
# pathlib resolves links, which `python` keeps

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unbug.errors import ScriptNotFoundError

__all__ = ["Program", "ProgramEnd", "find_module", "find_script"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that exists.

    Args:
        name: As the user gave it: `python NAME` or `python -m NAME`.
        path: Absolute, neither normalised nor resolved; empty for a module.
        arguments: What stands after the name.
    """

    kind: Literal["script", "archive", "module"]
    name: str
    path: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProgramEnd:
    """How a program ended.

    Args:
        exit_code: The process's own, as a shell sees it (an interrupt is 130).
        error: What it did not catch, with a traceback that begins in the program; None if it ended or exited.
        late: The program's threads outlived its main code, so this is told while the interpreter shuts down.
    """

    state: Literal["finished", "failed", "interrupted"]
    exit_code: int
    error: BaseException | None = None
    late: bool = False


def find_script(name: str, arguments: Sequence[str] = ()) -> Program:
    """The program of `python NAME ARGUMENTS…`.

    Raises:
        ScriptNotFoundError: there is no such file, it cannot be read, or the folder has no `__main__.py`.
    """
    path = os.path.join(os.getcwd(), name)
    if os.path.isdir(path) or (os.path.isfile(path) and pkgutil.get_importer(path) is not None):
        importer = pkgutil.get_importer(path)
        if importer is None or importer.find_spec("__main__", None) is None:
            raise ScriptNotFoundError(name, reason="it is a folder or an archive without `__main__.py`")
        return Program(kind="archive", name=name, path=path, arguments=tuple(arguments))
    try:
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise ScriptNotFoundError(name) from None
    except OSError as error:
        raise ScriptNotFoundError(name, reason=(error.strerror or str(error)).lower()) from None
    return Program(kind="script", name=name, path=path, arguments=tuple(arguments))


def find_module(name: str, arguments: Sequence[str] = ()) -> Program:
    """The program of `python -m NAME ARGUMENTS…`, run from the current folder.

    Raises:
        ScriptNotFoundError: there is no such module. Of a dotted name only the first part is looked for:
            looking further imports it, which the program itself must do.
    """
    top = name.partition(".")[0]
    reason = f"there is no module named {top!r}"
    if not all(part.isidentifier() for part in name.split(".")):
        raise ScriptNotFoundError(name, reason=f"{name!r} is no module name")
    before = list(sys.path)
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        found = None
    finally:
        sys.path[:] = before
    if found is None:
        raise ScriptNotFoundError(name, reason=reason)
    return Program(kind="module", name=name, path="", arguments=tuple(arguments))
