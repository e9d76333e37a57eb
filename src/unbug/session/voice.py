"""What unbug says while a program runs, on the stream that was stderr when it began."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from unbug.types import Bilingual, Finding

__all__ = ["Voice"]


class Voice:
    """Says lines on stderr.

    Args:
        quiet: Says nothing at all.
        language: `en` or `zh`; left out, what the environment says.
        stream: By default the present `sys.stderr`, also after the program replaces that.
    """

    def __init__(
        self, *, quiet: bool = False, language: str | None = None, stream: TextIO | None = None
    ) -> None:
        self.language = language
        self._stream = sys.stderr if stream is None else stream
        self.is_quiet = quiet
        self._pid = os.getpid()
        self.color = (
            self._is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    @property
    def stream(self) -> TextIO:
        """Where it speaks."""
        return self._stream

    @property
    def is_ascii(self) -> bool:
        """Whether the stream can show no other signs."""
        try:
            "✖─█".encode(getattr(self._stream, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return True
        return False

    @property
    def width(self) -> int:
        """Columns there are."""
        if "COLUMNS" in os.environ and os.environ["COLUMNS"].isdigit():
            return int(os.environ["COLUMNS"])
        with suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(self._stream.fileno()).columns
        return 100

    def say(self, text: str) -> None:
        """Say it on lines of its own, even where a progress bar is being drawn."""
        if self.is_quiet or self._stream is None or os.getpid() != self._pid:
            return
        with suppress(Exception):  # a stream that is closed or full is no reason to fail
            clear = "\r\x1b[K" if self.color else ""
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            self._stream.write(f"{clear}{text}\n".encode(encoding, "replace").decode(encoding))
            self._stream.flush()

    def finding(self, finding: Finding) -> None:
        """Say one finding, at once."""
        from unbug.report import live_line

        shape: dict[str, Any] = {"width": self.width, "ascii_only": self.is_ascii, "language": self.language}
        self.say(live_line(finding, color=self.color, **shape))

    def remark(self, text: Bilingual) -> None:
        """Say something in the user's language."""
        from unbug.report import live_remark

        self.say(live_remark(text, width=self.width, ascii_only=self.is_ascii, language=self.language))

    def _is_terminal(self) -> bool:
        with suppress(Exception):
            return bool(self._stream.isatty())
        return False
