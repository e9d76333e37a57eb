"""Keep what the program prints, through streams that are to it what its own were."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

__all__ = ["Console", "Stream"]

MAX_BYTES = 5_000_000
"""Kept of one stream; what comes later is counted, and said in the coverage event."""
MAX_WAITING = 1_000_000
"""Held between two ticks of the background thread."""


_kept: list[io.TextIOWrapper] = []
"""Streams that could not be flushed: the interpreter is to find them as it ends, and not before."""


class Stream:
    """What was written to one stream and is not yet taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.on = True
        self.kept = self.dropped = 0
        self._waiting: list[bytes] = []
        self._held = 0

    def put(self, data: bytes) -> None:
        """Keep a piece, as far as there is room."""
        if self.kept + len(data) > MAX_BYTES or self._held + len(data) > MAX_WAITING:
            self.dropped += len(data)
            return
        self._waiting.append(data)
        self._held += len(data)
        self.kept += len(data)

    def take(self) -> bytes:
        """All that was put since."""
        pieces, self._waiting, self._held = self._waiting, [], 0
        return b"".join(pieces)


class FileIO(io.FileIO):
    """The raw file, which tells what it wrote; named as what it stands for. It owns no descriptor."""

    stream: Stream

    def write(self, data: object, /) -> int:
        try:
            written = super().write(data)  # type: ignore[arg-type]
            if written and self.stream.on:
                self.stream.put(bytes(memoryview(data)[:written]))  # type: ignore[arg-type]
        except BaseException as error:
            error.__traceback__ = None  # a bare `raise` adds no frame: the traceback is as without us
            raise
        return written


class Console:
    """Both streams of the process, replaced while a run is recorded.

    The replacements have the same descriptor, encoding, error handler, line ends, buffering and name. Where a
    stream is none of Python's own (a notebook, a test runner), it is left alone; `unseen` says so.
    """

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.unseen: list[str] = []
        self._replaced: list[tuple[str, TextIO, io.TextIOWrapper]] = []

    def install(self) -> None:
        """Replace what can be replaced."""
        for name in ("stdout", "stderr"):
            original = getattr(sys, name)
            replacement = self._replacement(name, original)
            if replacement is None:
                self.unseen.append(f"{name} is no plain stream of Python")
                continue
            self._put(name, original, replacement)
            self._replaced.append((name, original, replacement))

    def _replacement(self, name: str, original: TextIO | None) -> io.TextIOWrapper | None:
        if type(original) is not io.TextIOWrapper:
            return None
        buffered = original.buffer
        raw = buffered.raw if type(buffered) is io.BufferedWriter else buffered
        if type(raw) is not io.FileIO:
            return None
        original.flush()
        stream = Stream(name)
        tee = FileIO(raw.fileno(), "wb", closefd=False)
        tee.stream = stream
        tee.name = raw.name
        replacement = io.TextIOWrapper(
            tee if buffered is raw else io.BufferedWriter(tee),
            encoding=original.encoding,
            errors=original.errors,
            newline="\n" if os.name == "posix" else None,
            line_buffering=original.line_buffering,
            write_through=original.write_through,
        )
        replacement.mode = original.mode  # type: ignore[misc]
        self.streams.append(stream)
        return replacement

    @staticmethod
    def _put(name: str, old: TextIO, new: TextIO) -> None:
        """In bare Python `sys.stdout is sys.__stdout__`; a program may rely on it."""
        setattr(sys, name, new)
        if getattr(sys, f"__{name}__") is old:
            setattr(sys, f"__{name}__", new)

    def remove(self) -> None:
        """Give the program's own streams back; one that the program itself replaced meanwhile stays.

        So does one that cannot be flushed, because its reader has gone or the program closed or detached it:
        what the program or the interpreter do with it next has to fail as without unbug.
        """
        for name, original, replacement in self._replaced:
            for stream in self.streams:
                if stream.name == name:
                    stream.on = False
            try:
                replacement.flush()
            except (OSError, ValueError):
                _kept.append(replacement)
                continue
            if getattr(sys, name) is replacement:
                setattr(sys, name, original)
            if getattr(sys, f"__{name}__") is replacement:
                setattr(sys, f"__{name}__", original)
        self._replaced.clear()

    def flush(self) -> None:
        """Bring to the descriptors what the program wrote, before unbug says something."""
        for _, _, replacement in self._replaced:
            with suppress(OSError, ValueError):
                replacement.flush()

    def silence(self) -> None:
        """In a forked child: what it prints is its own."""
        for stream in self.streams:
            stream.on = False
