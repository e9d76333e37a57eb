"""Pictures, texts, sounds and tables of a run: files named by their content, with a disk budget of their own.

Above the budget the oldest are thinned: every second one of a name, round after round. The last one of each
name always stays.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unbug.store.shedding import Losses

__all__ = ["MEDIA", "SUFFIXES", "MediaFiles"]

MEDIA = "media"
SUFFIXES = ("png", "txt", "json", "wav")
"""All that there is: none of them is executed by anything that opens it."""
_ROOM = 0.8
"""Share of the budget that thinning leaves, so that it is not done for every new file."""


@dataclass(slots=True, eq=False)
class _Kept:
    name: str
    file: str
    size: int


class MediaFiles:
    """Writes the media of one process.

    Args:
        path: The run's folder.
        budget_bytes: What all files of this process may take.
    """

    def __init__(self, path: Path, *, budget_bytes: int) -> None:
        self._folder, self._budget = path / MEDIA, budget_bytes
        self._kept: list[_Kept] = []
        self._uses: Counter[str] = Counter()
        self._losses = Losses()
        self.count = self.thinned = self.failed = 0
        self.size_bytes = 0

    def keep(self, name: str, data: bytes, suffix: str) -> str | None:
        """Write what was logged under a name; the same content is written once.

        Returns:
            Name of the file; None if the disk did not take it, which is counted.
        """
        file = f"{hashlib.sha256(data).hexdigest()}.{suffix}"
        if not self._uses[file]:
            try:
                self._write(file, data)
            except OSError as error:
                self._losses.disk(error)
                self.failed += 1
                return None
            self.size_bytes += len(data)
        self._uses[file] += 1
        self._kept.append(_Kept(name, file, len(data)))
        self.count += 1
        if self.size_bytes > self._budget:
            self._thin()
        return file

    def in_words(self) -> tuple[str, ...]:
        """What could not be kept, one sentence a kind; empty if all was."""
        said = []
        if self.thinned:
            limit = (
                f"{self._budget / 1e6:,.0f} MB" if self._budget >= 1e6 else f"{self._budget / 1e3:,.0f} kB"
            )
            said.append(
                f"{self.thinned} of {self.count} media were thinned out, the oldest first, to keep to {limit}"
            )
        if self.failed:
            said.append(
                f"{self.failed} media could not be written: {'; '.join(self._losses.in_words(waiting=False))}"
            )
        return tuple(said)

    def _write(self, file: str, data: bytes) -> None:
        path = self._folder / file
        if path.exists():
            return
        if not self._folder.exists():
            if not self._folder.parent.is_dir():
                raise FileNotFoundError(2, "the run's folder was deleted", str(self._folder.parent))
            self._folder.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".{file}.{os.getpid()}.tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            with os.fdopen(fd, "wb") as out:
                out.write(data)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _thin(self) -> None:
        """Delete until there is room again: every second of a name from the old end, round after round."""
        room = self._budget * _ROOM
        while self.size_bytes > room:
            last = {one.name: one for one in self._kept}
            left = [one for one in self._kept if last[one.name] is not one]
            if not left:
                return
            seen: Counter[str] = Counter()
            gone: set[int] = set()
            for one in left:
                seen[one.name] += 1
                if seen[one.name] % 2 == 0 or len(left) == len(last):
                    gone.add(id(one))
                    self._drop(one)
                    if self.size_bytes <= room:
                        break
            if not gone:  # one of each name besides the last: the oldest goes
                gone.add(id(left[0]))
                self._drop(left[0])
            self._kept = [one for one in self._kept if id(one) not in gone]

    def _drop(self, one: _Kept) -> None:
        self.thinned += 1
        self._uses[one.file] -= 1
        if self._uses[one.file] == 0:
            del self._uses[one.file]
            self.size_bytes -= one.size
            with suppress(OSError):
                (self._folder / one.file).unlink()
