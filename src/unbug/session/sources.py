"""Source of the program's own modules: below where it is, outside of Python and its packages."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.hooks import named_cells

if TYPE_CHECKING:
    from unbug.privacy import Redactor
    from unbug.store import Writer

__all__ = ["Sources"]

MAX_FILE, MAX_ALL = 1_000_000, 10_000_000


class Sources:
    """Writes each file once, as an event `source`.

    Args:
        how: `keep`, `hash` (a fingerprint, no text) or `off`.
        roots: Folders of the program; only files below one of them are its own.
    """

    def __init__(self, writer: Writer, redactor: Redactor, *, how: str, roots: Iterable[Path]) -> None:
        self._writer, self._redactor, self._how = writer, redactor, how
        self._roots = tuple(dict.fromkeys(f"{root.absolute()}/" for root in roots))
        self._done: set[str] = set()
        self._modules = 0
        self._bytes = 0
        paths = sysconfig.get_paths()
        own = Path(__file__).parent.parent
        outside = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | {str(own)}
        self._outside = tuple(f"{folder}/" for folder in outside)

    def take_new(self) -> None:
        """Write what was imported since the last call, and cells of a notebook that something cites."""
        if self._how != "off":
            for name, typed in [*named_cells().items()]:
                if name not in self._done:
                    self._done.add(name)
                    self._write(name, typed.encode("utf-8", "replace"))
        if self._how == "off" or len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        for module in list(sys.modules.values()):
            file = getattr(module, "__dict__", {}).get("__file__")
            if isinstance(file, str):
                self.take(file)

    def take(self, file: str) -> None:
        """Write one file if it is the program's own."""
        if file in self._done or self._how == "off":
            return
        self._done.add(file)
        path = Path(file).absolute()
        if not self._is_own(str(path)):
            return
        try:
            data = path.read_bytes()
        except OSError:
            return
        self._write(file, data)

    def _write(self, file: str, data: bytes) -> None:
        fields: dict[str, object] = {
            "file": file,
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
        }
        self._bytes += len(data)
        if self._how == "keep" and len(data) <= MAX_FILE and self._bytes <= MAX_ALL:
            fields["text"] = self._redactor.source(data.decode(errors="replace"))
        self._writer.event("source", fields, t_ns=time.monotonic_ns())

    def _is_own(self, path: str) -> bool:
        if not path.endswith((".py", ".pyw", "")) or "/site-packages/" in path or "/dist-packages/" in path:
            return False
        if path.startswith(self._outside):
            return False
        return path.startswith(self._roots)
