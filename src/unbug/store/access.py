"""The files of a run, wherever it lies: in a folder, or packed into one file."""

from __future__ import annotations

import os
from pathlib import Path

from unbug.store.handles import Handle, open_plain
from unbug.store.packed import Member, is_packed, open_archive

__all__ = ["MAX_LOG", "Where", "is_folder", "listing", "open_file", "read_from", "release", "root_of"]

Where = Path | Member
"""A file or folder of a run; `/` leads to what is in it."""
MAX_LOG = 1 << 30
"""A log is rolled at 4 MiB plus one flush; one of a gigabyte is none of ours."""


def root_of(path: Path) -> Where:
    """The run at a path, to be given to `release` when done.

    Raises:
        NotARunError: it is a file, but no packed run.
    """
    return open_archive(path) if is_packed(path) else path


def release(where: Where) -> None:
    """Close the file of a packed run."""
    if isinstance(where, Member):
        where.archive.close()


def open_file(where: Where) -> Handle:
    """Open a file of a run for reading.

    Raises:
        OSError: it cannot be opened.
    """
    return where.archive.open(where.path) if isinstance(where, Member) else open_plain(where)


def is_folder(where: Where) -> bool:
    """Whether it is a folder."""
    return where.archive.is_folder(where.path) if isinstance(where, Member) else where.is_dir()


def listing(where: Where) -> frozenset[str]:
    """Names in a folder.

    Raises:
        OSError: there is none.
    """
    if isinstance(where, Member):
        return where.archive.names(where.path)
    return frozenset(os.listdir(where))  # noqa: PTH208 - names only, and quicker


def read_from(where: Where, offset: int, *, limit: int = MAX_LOG) -> bytes:
    """The bytes of a file from `offset`; at most `limit`.

    Raises:
        OSError: it cannot be read.
    """
    handle = open_file(where)
    try:
        return handle.read_all(offset, limit=limit)
    finally:
        handle.close()
