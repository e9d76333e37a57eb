"""The one place where a failure inside unbug ends: told once, written to the run, never in the way."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from unbug.hooks import from_signal

if TYPE_CHECKING:
    from unbug.store import Writer

__all__ = ["Faults"]


class Faults:
    """Collects what failed.

    Args:
        strict: Raise instead, for those who work on unbug.
        quiet: Say nothing aloud; the run and its coverage still tell.
        stream: Where the one line goes; asked for anew each time, since programs replace `sys.stderr`.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        quiet: bool = False,
        stream: Callable[[], TextIO] = lambda: sys.stderr,
    ) -> None:
        self.strict, self.quiet = strict, quiet
        self.told: list[str] = []
        self._writer: Writer | None = None
        self._stream = stream
        self._waiting: list[dict[str, str]] = []
        self._seen: set[str] = set()

    @contextmanager
    def guard(self, where: str) -> Iterator[None]:
        """Let nothing out that failed in `where`. Interrupts pass."""
        try:
            yield
        except Exception as error:
            if self.strict or from_signal(error):
                raise
            self.report(where, error)

    def report(self, where: str, error: BaseException) -> None:
        """Write the failure to the run and say one line about it, once for each place."""
        text = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error, limit=-20))
        self.tell(where, text)
        self._waiting.append({"where": where, "error": text, "traceback": trace})
        if self._writer is not None:
            self.attach(self._writer)

    def attach(self, writer: Writer) -> None:
        """Write to this from now on, first what failed before it was there."""
        self._writer = writer
        while self._waiting:
            writer.event("fault", self._waiting.pop(0), t_ns=time.monotonic_ns())

    def tell(self, where: str, text: str) -> None:
        """Say that something failed, once for each place; also of what the recorder wrote by itself."""
        if where not in self._seen:
            self._seen.add(where)
            self.told.append(f"{where}: {text}")
            self._say(f"unbug: {where} failed and is switched off, the program goes on: {text}")

    def _say(self, line: str) -> None:
        if self.quiet:
            return
        with suppress(Exception):  # a closed stderr is no reason to fail either
            print(line, file=self._stream(), flush=True)
