"""A run in one file: a zip whose members are stored as they are, so that each is read where it lies.

Nothing is unpacked, so nothing can be written outside, and nothing is inflated. Members that are compressed,
encrypted, links, twice there, or overlap are refused, as are names that a run does not have.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from unbug.errors import NotARunError
from unbug.store.handles import Handle, open_plain

if TYPE_CHECKING:
    import zipfile

__all__ = ["SUFFIX", "Archive", "Member", "is_packed", "open_archive"]

SUFFIX = ".unbug"
_LOCAL = struct.Struct("<4s5H3L2H")
_MAGIC = b"PK\x03\x04"
_STORED = 0
_MOST = 200_000
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Member:
    """A file or folder within a packed run; the empty name is the run itself."""

    archive: Archive
    path: str = ""

    @property
    def name(self) -> str:
        """The last part of its name."""
        return PurePosixPath(self.path).name

    def __truediv__(self, name: str) -> Member:
        return Member(self.archive, f"{self.path}/{name}" if self.path else name)

    def __str__(self) -> str:
        return f"{self.archive.path}:{self.path}"


class Archive:
    """A packed run, open until `close`.

    Raises:
        NotARunError: it is no packed run, or one that was tampered with.
    """

    def __init__(self, path: Path) -> None:
        import zipfile

        self.path = path
        self._found: dict[str, tuple[int, int]] = {}
        self._folders: dict[str, set[str]] = {"": set()}
        self._handle = open_plain(path)
        try:
            with zipfile.ZipFile(path) as source:
                self._take(source.infolist())
        except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError) as error:
            self._handle.close()
            raise NotARunError(str(path), reason=f"it is no packed run: {error}") from None

    def _take(self, members: list[zipfile.ZipInfo]) -> None:
        if len(members) > _MOST:
            raise ValueError(f"it holds {len(members)} files")
        for member in members:
            self._check(member)
            start = self._start_of(member)
            if member.filename in self._found:
                raise ValueError(f"{member.filename!r:.200} is there twice")
            self._found[member.filename] = (start, member.file_size)
            parts = member.filename.split("/")
            for depth in range(len(parts)):
                self._folders.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
        end = 0
        for start, size in sorted(self._found.values()):
            if start < end:
                raise ValueError("its files overlap")
            end = start + size
        if end > self._handle.size:
            raise ValueError("it is cut")
        if both := self._found.keys() & self._folders.keys():
            raise ValueError(f"{min(both)!r:.200} is a file and a folder")

    @staticmethod
    def _check(member: zipfile.ZipInfo) -> None:
        name = member.filename
        if len(name) > _LONGEST or not name.isprintable() or any(sign in name for sign in '\\:*?"<>|'):
            raise ValueError(f"the name {name!r:.200} is none of a run's files")
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"the name {name!r:.200} leads elsewhere")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ValueError(f"{name!r:.200} is no plain file")
        if member.compress_type != _STORED or member.compress_size != member.file_size:
            raise ValueError(f"{name!r:.200} is compressed; a packed run holds its files as they are")
        if member.flag_bits & 0x1:
            raise ValueError(f"{name!r:.200} is encrypted")

    def _start_of(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of a member begin: behind its local header."""
        head = self._handle.read(member.header_offset, _LOCAL.size)
        if len(head) != _LOCAL.size:
            raise ValueError("it is cut")
        magic, *_, name_length, extra_length = _LOCAL.unpack(head)
        name = self._handle.read(member.header_offset + _LOCAL.size, name_length)
        if magic != _MAGIC or name != member.orig_filename.encode():
            raise ValueError(f"{member.filename!r:.200} is not where the list says")
        return int(member.header_offset + _LOCAL.size + name_length + extra_length)

    def open(self, name: str) -> Handle:
        """One of its files.

        Raises:
            FileNotFoundError: it has none of that name.
        """
        if name not in self._found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self.path}:{name}")
        base, size = self._found[name]
        return self._handle.part(base, size)

    def names(self, folder: str) -> frozenset[str]:
        """Names in a folder.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        if folder not in self._folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self.path}:{folder}")
        return frozenset(self._folders[folder])

    def is_folder(self, name: str) -> bool:
        """Whether that is a folder in it."""
        return name in self._folders

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._handle.size

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._handle.close()


def is_packed(path: Path) -> bool:
    """Whether a path is that of a file that may be a packed run: a plain one that begins as a zip does."""
    try:
        if not path.is_file():
            return False
        handle = open_plain(path)
    except OSError:
        return False
    try:
        return handle.read(0, len(_MAGIC)) == _MAGIC
    finally:
        handle.close()


def open_archive(path: Path) -> Member:
    """The run in a packed file.

    Raises:
        NotARunError: it holds none.
    """
    return Member(Archive(path))
