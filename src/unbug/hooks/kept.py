"""Taps compiled by earlier processes: parsing and compiling them takes a third of the time to start.

A tap is found by all that it is made from: the code that it replaces, what is put in, and the version of
these rules. The file lies in the user's cache folder, as the bytecode of modules lies in `__pycache__`; it is
read only if nobody else can write to it, and is rewritten as a whole. Where none can be kept, taps are
compiled each time.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType

__all__ = ["Kept", "digest"]

_MAGIC = b"unbug taps 1\n"
_DIGEST = 32
_MOST = 512


class Kept:
    """Compiled taps by key, with the constants that stand for the calls still in them.

    Args:
        path: The file; None for the one in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path if path is not None else _default()
        self._codes: dict[str, CodeType] = {}
        self._new = False
        if self._path is not None:
            with suppress(OSError, ValueError, EOFError, TypeError):
                self._codes = _read(self._path)

    def get(self, key: str) -> CodeType | None:
        """The tap of that key, if an earlier process compiled it."""
        return self._codes.get(key)

    def put(self, key: str, code: CodeType) -> None:
        """Keep a tap."""
        if len(self._codes) >= _MOST:
            self._codes.clear()
        self._codes[key] = code
        self._new = True

    def save(self) -> None:
        """Write what is new for later processes, if the folder lets us."""
        if not self._new or self._path is None:
            return
        self._new = False
        with suppress(OSError, ValueError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            body = marshal.dumps(self._codes)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".taps-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_MAGIC + hashlib.sha256(body).digest() + body)
                Path(name).replace(self._path)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise


def digest(code: CodeType, *more: str | Sequence[str] | None) -> str:
    """A key of all that a code object is, and of what is put into it."""
    found = hashlib.sha256(repr((_own_version(), more)).encode())
    _feed(found, code)
    return found.hexdigest()


def _feed(found: hashlib._Hash, code: CodeType) -> None:
    parts = (
        (code.co_filename, code.co_qualname, code.co_firstlineno, code.co_linetable, code.co_exceptiontable),
        (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_code),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
    )
    found.update(repr(parts).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _feed(found, constant)
        else:
            plain = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
            found.update(repr((type(constant).__name__, plain)).encode())


def _own_version() -> tuple[tuple[str, int, int], ...]:
    """Changes with the files that say how a tap is made."""
    here = Path(__file__).parent
    stats = [(name, (here / name).stat()) for name in ("tap.py", "source.py", "kept.py")]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _default() -> Path | None:
    folder = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):
        base = Path(folder) if folder else Path.home() / ".cache"
        return base / "unbug" / f"taps-{sys.implementation.cache_tag}.bin"
    return None


def _read(path: Path) -> dict[str, CodeType]:
    if hasattr(os, "geteuid"):
        for one in (path, path.parent):
            stat = one.stat()
            if stat.st_uid != os.geteuid() or stat.st_mode & 0o022:
                return {}
    data = path.read_bytes()
    start = len(_MAGIC) + _DIGEST
    body = data[start:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        return {}
    codes = marshal.loads(body)
    return codes if isinstance(codes, dict) else {}
