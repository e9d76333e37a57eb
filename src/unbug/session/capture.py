"""The console's way into the run: whole lines, redacted, written by the background thread."""

from __future__ import annotations

import codecs
import hashlib
import time
from typing import TYPE_CHECKING

from unbug.privacy import LineRedactor
from unbug.session.console import Console

if TYPE_CHECKING:
    from unbug.privacy import Redactor
    from unbug.store import Writer

__all__ = ["Capture"]


class Capture:
    """Drains the console's streams into events `console`.

    Args:
        how: `keep`, `hash` (a fingerprint of each stream, no text) or `off`.
    """

    def __init__(self, writer: Writer, redactor: Redactor, *, how: str) -> None:
        self._writer, self._how = writer, how
        self.console = Console()
        self._lines = {name: LineRedactor(redactor) for name in ("stdout", "stderr")}
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._lines}
        self._digests = {name: hashlib.sha256() for name in self._lines}

    def install(self) -> None:
        """Begin to keep what is printed."""
        if self._how != "off":
            self.console.install()

    def drain(self, *, last: bool = False) -> None:
        """Write what was printed since."""
        for stream in self.console.streams:
            data = stream.take()
            if self._how == "hash":
                self._digests[stream.name].update(data)
                continue
            lines = self._lines[stream.name]
            text = lines.feed(self._decoders[stream.name].decode(data)) if data else ""
            if last:
                text += lines.finish()
            if text:
                self._writer.event("console", {"stream": stream.name, "text": text}, t_ns=time.monotonic_ns())

    def remove(self) -> None:
        """Give the program its streams back, and write the rest."""
        self.console.remove()
        self.drain(last=True)
        if self._how == "hash":
            for stream in self.console.streams:
                digest = self._digests[stream.name].hexdigest()
                fields = {"stream": stream.name, "sha256": digest, "size_bytes": stream.kept}
                self._writer.event("console", fields, t_ns=time.monotonic_ns())

    def coverage(self) -> list[str]:
        """What of the console is not in the run, in words."""
        if self._how == "off":
            return ["the console is not kept (privacy.console = off)"]
        dropped = [
            f"{stream.dropped:,} bytes of {stream.name} are not kept, it printed too much"
            for stream in self.console.streams
            if stream.dropped
        ]
        return [*self.console.unseen, *dropped]
