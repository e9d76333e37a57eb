"""`unbug gc`: finish what writers that are no more left undone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unbug.errors import NewerFormatError, NotARunError
from unbug.store.catalogue import list_runs
from unbug.store.folders import WRITERS
from unbug.store.liveness import corrected
from unbug.store.manifest import read_manifest, read_status
from unbug.types import RunState

__all__ = ["Collected", "collect"]

_ENDLESS = 1 << 60
_OLD_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What was done to one run. `skipped` says why nothing was; empty else."""

    path: Path
    bytes_before: int = 0
    bytes_after: int = 0
    temporary_files: int = 0
    skipped: str = ""
    said: tuple[str, ...] = ()


def collect(
    directory: Path, *, disk_bytes: int = 200_000_000, wall_ns: Callable[[], int] = time.time_ns
) -> Iterator[Collected]:
    """Merge what crashed or quick programs left in live logs and remove temporary files, run by run.

    Runs that are being written are left alone.

    Args:
        directory: Where runs lie, or one run.
    """
    try:
        read_manifest(directory)
        paths = [directory]
    except (NotARunError, NewerFormatError):
        paths = [one.path for one in list_runs(directory, wall_ns=wall_ns)]
    for path in paths:
        yield _collect_one(path, disk_bytes, wall_ns)


def _collect_one(path: Path, disk_bytes: int, wall_ns: Callable[[], int]) -> Collected:
    from unbug.store.merge import Merger

    if path.is_file():
        return Collected(path=path, skipped="it is packed")
    if corrected(read_status(path), now_ns=wall_ns()).state is RunState.RUNNING:
        return Collected(path=path, skipped="it is being written")
    before = _size(path)
    removed = 0
    said: list[str] = []
    try:
        for left in _temporary(path):
            if wall_ns() / 1e9 - left.stat().st_mtime > _OLD_S or left.parent == path:
                left.unlink(missing_ok=True)
                removed += 1
        for folder in sorted(_writers(path)):
            merger = Merger(folder, detail_bytes=disk_bytes // 5)
            while merger.work(budget_s=1.0, below=_ENDLESS):
                pass
            said.extend(merger.in_words())
    except OSError as error:
        said.append(f"stopped: {error.strerror}")
    return Collected(
        path=path, bytes_before=before, bytes_after=_size(path), temporary_files=removed, said=tuple(said)
    )


def _temporary(path: Path) -> list[Path]:
    """Temporary files of the run itself: no link is followed out of it."""
    return [
        Path(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if name.startswith(".") and name.endswith(".tmp")
    ]


def _writers(path: Path) -> list[Path]:
    folder = path / WRITERS
    return [] if folder.is_symlink() else [one for one in folder.iterdir() if not one.is_symlink()]


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
