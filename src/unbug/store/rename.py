"""`unbug mv` and `unbug tag`: the only changes of a manifest that was written, safe while the run lives."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unbug.errors import NotARunError, StoreError, UsageError
from unbug.store.folders import label
from unbug.store.liveness import corrected
from unbug.store.manifest import MANIFEST, make_file, read_manifest, read_status, replace_file
from unbug.types import Run, RunState

__all__ = ["rename_run", "tag_run"]

_LOCK = ".manifest.lock"
_STALE_S, _WAIT_S = 10.0, 5.0
MAX_NAME, MAX_TAG = 1000, 200


def rename_run(path: Path, name: str, *, wall_ns: Callable[[], int] = time.time_ns) -> Path:
    """Give a run another name. Its folder follows, unless the run is being written: its writers know the
    folder by its path, so then the name changes alone.

    Returns:
        Where the run lies now.
    Raises:
        UsageError: no such name can be, or another run has the folder.
        NotARunError, NewerFormatError: there is no run.
        StoreError: its files cannot be written.
    """
    if not name.strip() or len(name) > MAX_NAME:
        raise UsageError(f"a run cannot be called {name!r:.80}; give a name of 1 to {MAX_NAME} characters")
    _refuse_others(path)
    path = path.absolute()
    running = corrected(read_status(path), now_ns=wall_ns()).state is RunState.RUNNING
    target = path if running else path.with_name(label(name))
    if target != path and target.exists() and not _is_same(path, target):
        raise UsageError(f"there is a run in {target} already; choose another name")
    _change(path, lambda data: data | {"name": name})
    if target != path:
        try:
            path.rename(target)
        except OSError as error:
            raise StoreError(f"cannot rename {path}: {error.strerror or error}") from error
    return target


def tag_run(path: Path, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Run:
    """Add tags to a run and remove others.

    Returns:
        The manifest as it is now.
    Raises:
        UsageError: no such tag can be.
        NotARunError, NewerFormatError: there is no run.
        StoreError: its files cannot be written.
    """
    for tag in add:
        if not tag.strip() or len(tag) > MAX_TAG:
            raise UsageError(f"a tag cannot be {tag!r:.80}; give 1 to {MAX_TAG} characters")
    _refuse_others(path)

    def changed(data: dict[str, Any]) -> dict[str, Any]:
        have = [str(tag) for tag in data.get("tags", ())]
        kept = [tag for tag in dict.fromkeys((*have, *add)) if tag not in remove]
        return data | {"tags": kept}

    _change(path, changed)
    return read_manifest(path)


def _refuse_others(path: Path) -> None:
    read_manifest(path)
    if not path.is_dir():
        raise UsageError(f"{path} is a packed run, which is not changed; change the run and pack it again")
    if path.is_symlink():
        raise NotARunError(str(path), reason="it is a link; give the folder itself")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)  # on a file system that does not tell `Run` from `run`
    except OSError:
        return False


def _change(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Read, change and replace the manifest, with fields that this unbug does not know, while nobody else
    does."""
    try:
        with _locked(path):
            data = json.loads((path / MANIFEST).read_bytes())
            text = json.dumps(change(data), indent=1)
            replace_file(path / MANIFEST, text.encode() + b"\n", sync=True)
    except OSError as error:
        raise StoreError(f"cannot change {path / MANIFEST}: {error.strerror or error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the manifest's lock: a file that one process at a time can make. One left by a crash is broken."""
    lock, until = path / _LOCK, time.monotonic() + _WAIT_S
    while not make_file(lock, str(os.getpid()).encode()):
        try:
            if time.time() - lock.stat().st_mtime > _STALE_S:
                lock.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        if time.monotonic() > until:
            raise StoreError(f"another process is changing {path / MANIFEST}; try again, or remove {lock}")
        time.sleep(0.02)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
