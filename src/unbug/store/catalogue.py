"""Many runs: list them, find one, remove one. Reads manifests and status files only."""

from __future__ import annotations

import difflib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unbug.errors import NewerFormatError, NotARunError, RunNotFoundError, StoreError
from unbug.store.access import release, root_of
from unbug.store.liveness import corrected
from unbug.store.manifest import MANIFEST, manifest_of, present_status, read_manifest, read_status
from unbug.store.packed import SUFFIX, is_packed
from unbug.types import Run, RunState, Status

__all__ = ["RunSummary", "find_run", "list_runs", "remove_run"]

LAST = "@last"
_MIN_PREFIX = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """One line of a list of runs."""

    path: Path
    run: Run
    status: Status


def _folders(directory: Path) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names only
    except OSError:
        return []
    return sorted(name for name in names if os.path.isfile(f"{directory}/{name}/{MANIFEST}"))  # noqa: PTH113


def list_runs(
    directory: Path,
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    skipped: Callable[[Path, StoreError], None] = lambda path, error: None,
) -> list[RunSummary]:
    """All runs of a directory that can be read, the oldest first. Empty if there is no such directory.

    Args:
        directory: Where runs lie, or one run, in its folder or packed.
        skipped: Told of each run that cannot be read.
    """
    if is_packed(directory) or (directory / MANIFEST).is_file():
        return [summary(directory, now_ns=wall_ns())]
    found, now = [], wall_ns()
    for name in _folders(directory):
        try:
            found.append(summary(directory / name, now_ns=now))
        except (NotARunError, NewerFormatError) as error:
            skipped(directory / name, error)
    found.sort(key=lambda one: (one.run.created_ns, one.run.id))
    return found


def summary(path: Path, *, now_ns: int) -> RunSummary:
    """What a list says of one run.

    Raises:
        NotARunError, NewerFormatError: it cannot be read.
    """
    root = root_of(path)
    try:
        return RunSummary(path=path, run=manifest_of(root), status=present_status(root, now_ns=now_ns))
    finally:
        release(root)


def find_run(wanted: str, directory: Path) -> Path:
    """The folder of the run that a user means.

    Args:
        wanted: A path, a folder's name, a run's name (the newest of that name), an id, the beginning of an id
            (four characters or more), or `@last` for the newest.
        directory: Where runs lie.
    Raises:
        RunNotFoundError: none, or several, answer to it.
        NotARunError: it is the path of something else.
    """
    labels = _folders(directory)
    if wanted in labels:
        return directory / wanted
    if wanted and wanted != LAST and "\0" not in wanted:
        given = Path(wanted).expanduser()
        try:
            if (given / MANIFEST).is_file() or is_packed(given):
                return given
            path_like = (
                given.is_absolute() or os.sep in wanted or wanted in (".", "..") or given.suffix == SUFFIX
            )
            if path_like and given.exists():
                raise NotARunError(wanted)
        except OSError:
            pass  # Too long for a path: it may still be a name.
    runs = list_runs(directory)
    if wanted == LAST and runs:
        return runs[-1].path
    named = [one.path for one in runs if one.run.name == wanted]
    if named:
        return named[-1]
    begin = wanted.casefold()
    by_id = [one for one in runs if len(wanted) >= _MIN_PREFIX and one.run.id.startswith(begin)]
    if len(by_id) == 1:
        return by_id[0].path
    if by_id:
        raise RunNotFoundError(wanted, str(directory), [one.run.id for one in by_id[:5]], ambiguous=True)
    near = (
        difflib.get_close_matches(wanted, labels, n=3, cutoff=0.5)
        or [one.path.name for one in runs[-3:]][::-1]
    )
    raise RunNotFoundError(wanted, str(directory), near)


def remove_run(path: Path, *, even_running: bool = False, wall_ns: Callable[[], int] = time.time_ns) -> None:
    """Delete a run's folder and all that is in it.

    Raises:
        NotARunError: there is no run; nothing is deleted then.
        StoreError: the run is being written, or its files cannot be deleted.
    """
    with suppress(NewerFormatError):
        read_manifest(path)
    if path.is_symlink():
        raise NotARunError(str(path), reason="it is a link; give the folder itself")
    status = corrected(read_status(path), now_ns=wall_ns()) if path.is_dir() else None
    if status is not None and status.state is RunState.RUNNING and not even_running:
        raise StoreError(
            f"run {path.name!r} is being written by process {status.pid} on {status.host}; stop it first"
        )
    try:
        if path.is_file():  # packed
            path.unlink()
        else:
            shutil.rmtree(path.absolute().resolve())  # `.` cannot be deleted under that name
    except OSError as error:
        raise StoreError(f"cannot delete {path}: {error.strerror or error}") from error
