"""The way of logged media into the run: taken at the call, encoded and written by the background thread."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from unbug.session.media_data import Audio, Histogram, Text
from unbug.session.media_images import Figure, Image
from unbug.session.media_table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from unbug.session.faults import Faults
    from unbug.session.media_kinds import Media, Piece
    from unbug.session.redacting import RedactingWriter
    from unbug.settings import Settings
    from unbug.store import MediaFiles

    Where: TypeAlias = tuple[int, int, int, int]

__all__ = ["MediaLog", "as_media", "media_budget"]

WAITING_BYTES = 128_000_000
"""Copies that wait to be encoded; what comes when they are so many is counted and not kept."""
MOST_ITEMS = 100_000
TICK_BUDGET_S, CLOSE_BUDGET_S = 0.1, 3.0
"""Time to encode at one tick of the background thread, and at the end."""
_WRAPPERS = (Image, Text, Audio, Table, Histogram, Figure)


class MediaLog:
    """Keeps what `run.log` was given beside numbers.

    Args:
        path: The run's folder.
        budget_bytes: What the files may take; above it the oldest are thinned.
        how: `keep`, or `off`: they are counted, and nothing of them is kept.
    """

    def __init__(
        self,
        path: Path,
        writer: RedactingWriter,
        faults: Faults,
        *,
        budget_bytes: int,
        how: str = "keep",
    ) -> None:
        self._path, self._writer, self._faults, self._budget = path, writer, faults, budget_bytes
        self._waiting: deque[tuple[str, Piece, int, Where, float | None]] = deque()
        self._on = how == "keep"
        self._held = self._taken = self.dropped = self.late = self.withheld = 0
        self._files: MediaFiles | None = None
        self._pid = os.getpid()
        self._working = threading.Lock()

    def put(
        self, name: str, pieces: Sequence[Piece], *, t_ns: int, where: Where, user_step: float | None
    ) -> None:
        """Take pieces; never blocks, touches no file."""
        if not self._on:
            self.withheld += len(pieces)
            return
        for piece in pieces:
            if self._held + piece.size_bytes > WAITING_BYTES or self._taken >= MOST_ITEMS:
                self.dropped += 1
                continue
            self._held += piece.size_bytes
            self._taken += 1
            self._waiting.append((name, piece, t_ns, where, user_step))

    def work(self) -> None:
        """Encode and write what waits, for about a tenth of a second; at least one."""
        if self._waiting and self._pid == os.getpid():
            self._within(TICK_BUDGET_S)

    def _within(self, budget_s: float) -> bool:
        """Work for so long; false if another thread is at it all the while."""
        if not self._working.acquire(timeout=budget_s):
            return False
        try:
            self._work(time.monotonic() + budget_s)
        finally:
            self._working.release()
        return True

    def _work(self, until: float) -> None:
        while self._waiting:
            name, piece, t_ns, where, user_step = self._waiting.popleft()
            self._held -= piece.size_bytes
            with self._faults.guard("keeping media"):
                self._keep(name, piece, t_ns, where, user_step)
            if time.monotonic() > until:
                return

    def close(self) -> None:
        """Write what can be written within three seconds, and wait for what is being written; the rest is
        counted."""
        if self._pid == os.getpid():
            self.late += 0 if self._within(CLOSE_BUDGET_S) else 1
            self.late += len(self._waiting)
        self._waiting.clear()

    def in_words(self) -> tuple[str, ...]:
        """What is not in the run, one sentence a kind."""
        said = []
        if self.withheld:
            said.append(f"{self.withheld} media were not kept (privacy.media = off)")
        if self.dropped:
            said.append(f"{self.dropped} media were not kept: they came faster than they could be written")
        if self.late:
            said.append(f"{self.late} media were still waiting at the end")
        return (*said, *(self._files.in_words() if self._files is not None else ()))

    def _keep(self, name: str, piece: Piece, t_ns: int, where: Where, user_step: float | None) -> None:
        if self._files is None:
            from unbug.store import MediaFiles

            self._files = MediaFiles(self._path, budget_bytes=self._budget)
        data, found = piece.encode(self._writer.redact)
        file = self._files.keep(name, data, piece.suffix)
        if file is None:
            return
        fields: dict[str, Any] = {
            "name": name,
            "kind": piece.kind,
            "index": 0,
            "file": file,
            "size_bytes": len(data),
        }
        if user_step is not None:
            fields["user_step"] = float(user_step)
        training, step, micro, phase = where
        self._writer.event(
            "media",
            {**fields, **piece.fields, **found},
            t_ns=t_ns,
            training=training,
            step=step,
            micro=micro,
            phase=phase,
        )


def media_budget(settings: Settings) -> int:
    """A quarter of what the run may take, in equal parts for the ranks there are."""
    said = os.environ.get("WORLD_SIZE", "1")
    return int(settings["disk"]) // 4 // (max(int(said), 1) if said.isdecimal() else 1)


def as_media(value: Any) -> list[Media] | None:
    """What can be nothing but media: a wrapper or a list of them, a figure, a picture, a table; else None.

    Raises:
        MediaError: it is one, and cannot be kept.
    """
    if isinstance(value, _WRAPPERS):
        return [value]
    if isinstance(value, list | tuple):
        found: list[Media] = []
        for one in value:
            made = None if isinstance(one, list | tuple) else as_media(one)
            if made is None:
                return None
            found += made
        return found or None
    for base in type(value).__mro__:
        kind = _OF_LIBRARY.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return [kind(value)]
    return None


_OF_LIBRARY: Mapping[tuple[str, str], Any] = {
    ("matplotlib", "Figure"): Figure,
    ("plotly", "BaseFigure"): Figure,
    ("PIL", "Image"): Image,
    ("pandas", "DataFrame"): Table,
    ("pyarrow", "Table"): Table,
}
