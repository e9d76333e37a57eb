"""Run folders: where they lie, what they are called, how one is made."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unbug.errors import StoreError
from unbug.store.identity import new_id, process_identity
from unbug.store.manifest import write_manifest, write_status
from unbug.types import Run, RunState, Status

__all__ = ["RUNS", "WRITERS", "create_run", "default_directory", "label"]

RUNS, WRITERS = "unbug-runs", "writers"
_MAX_LABEL = 100
_FORBIDDEN = frozenset('/\\:*?"<>|@')
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)


def default_directory(start: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """`$UNBUG_DIR`, else the nearest `unbug-runs/` upwards from `start`, else `start/unbug-runs`."""
    if environ.get("UNBUG_DIR"):
        return Path(environ["UNBUG_DIR"]).expanduser()
    start = Path.cwd() if start is None else start
    for folder in (start, *start.parents):
        if (folder / RUNS).is_dir():
            return folder / RUNS
    return start / RUNS


def label(name: str) -> str:
    """A folder name for a run's name: readable, and safe on any file system and command line.

    The name itself is kept in the manifest.
    """
    kept = []
    for sign in unicodedata.normalize("NFC", name):
        kind = unicodedata.category(sign)
        bad = sign in _FORBIDDEN or kind[0] in "CZ"
        kept.append("-" if bad else sign)
    text = "-".join(part for part in "".join(kept).split("-") if part.strip(".")).strip(".~-")
    while len(text.encode()) > _MAX_LABEL:
        text = text[:-1]
    text = text.rstrip(".~-") or "run"
    return f"{text}-run" if text.split(".")[0].casefold() in _RESERVED else text


def _make(directory: Path, wanted: str) -> Path:
    """Make a folder that was not there; of two processes that want one name, each gets its own."""
    new = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    if new:
        (directory / ".gitignore").write_text("*\n")
    number = 1
    while True:
        path = directory / (wanted if number == 1 else f"{wanted}-{number}")
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return path


def create_run(
    directory: Path,
    *,
    name: str | None,
    tags: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    unbug_version: str = "",
    wall_ns: Callable[[], int] = time.time_ns,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    entropy: Callable[[int], bytes] = os.urandom,
) -> tuple[Path, Run]:
    """Make the folder of a new run, with manifest and status; it is visible from then on.

    Args:
        name: Any text; the folder's name is made from it, with `-2` … behind if that is taken. None:
            the time.
        facts: JSON values, already redacted.
    Returns:
        The folder and the manifest.
    Raises:
        StoreError: the folder cannot be made.
    """
    created, anchor = wall_ns(), clock_ns()
    if name is None:
        name = datetime.fromtimestamp(created / 1e9, UTC).strftime("%Y-%m-%d-%H%M%S")
    run = Run(
        id=new_id(created, entropy),
        name=name,
        created_ns=created,
        anchor_ns=anchor,
        unbug_version=unbug_version,
        tags=tuple(tags),
        facts=dict(facts or {}),
    )
    try:
        path = _make(directory, label(name))
        (path / WRITERS).mkdir(mode=0o700)
        (path / ".gitignore").write_text("*\n")
        write_status(path, Status(state=RunState.RUNNING, updated_ns=created, **process_identity()))
        write_manifest(path, run)
    except OSError as error:
        raise StoreError(
            f"cannot make a run in {directory}: {error.strerror or error}; choose another place with `--dir`"
        ) from error
    return path, run
