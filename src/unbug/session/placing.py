"""Which run folder a process writes to: one of its own, one that its launch shares, or one that is resumed.

Processes of one launch find each other in `<dir>/.launches/<identity>/`, without locks: who makes a folder
for the start first is the one to begin the run, and writes where it is into a file that appears whole; the
others wait for that. Nothing compares clocks of different hosts.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.errors import StoreError, UnbugError
from unbug.session.launch import Launch
from unbug.types import Run, RunState

if TYPE_CHECKING:
    from unbug.types import Status

__all__ = ["Placed", "place"]

FOLDER = ".launches"
WAIT_S = 15.0
"""How long to wait for who began first: it may be asking git, or starting on a slow disk. Then it counts as
dead."""
SILENT_S = 8.0
"""A run's status is written every five seconds."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A run to write to.

    Args:
        first: This process keeps the run's status and states its findings; the others of the launch do not.
    """

    path: Path
    run: Run
    attempt: int = 0
    first: bool = True


def place(
    directory: Path,
    launch: Launch,
    *,
    make: Callable[[], tuple[Path, Run]],
    resume: Callable[[], Path | None] = lambda: None,
    wait_s: float = WAIT_S,
) -> Placed:
    """Find or make the run.

    Args:
        make: Makes the folder of a new run.
        resume: The run to go on with, or None to begin a new one; asked once in a launch.
    Raises:
        StoreError: there is no way to write there.
    """
    if not launch.identity:
        return _begin(resume(), make)
    folder = directory / FOLDER / launch.key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make a run in {directory}: {error.strerror or error}; choose another place with `--dir`"
        ) from error
    known = _read(directory, folder / "last.json")
    start = launch.start_key
    if not start:
        status = None if known is None else _status(known[0])
        running = status is not None and status.state is RunState.RUNNING
        start = f"n{0 if status is None else status.attempt + (not running)}"
    start, said = _unused(directory, folder, start)
    elected = False
    with suppress(FileExistsError):
        (folder / start).mkdir()
        elected = True
    deadline = time.monotonic() + (0 if elected else wait_s)
    while (found := _read(directory, said)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if found is not None:
        return _joined(*found)
    placed = _begin(resume() or (None if known is None else known[0]), make)
    text = _text(directory, placed)
    if _publish(said, text):
        with suppress(OSError):
            _write(folder / "last.json", text)
        return placed
    found = _read(directory, said)  # another one took us for dead, and was quicker
    if found is None:
        return placed
    if placed.attempt == 0:
        shutil.rmtree(placed.path, ignore_errors=True)
    return _joined(*found)


def _unused(directory: Path, folder: Path, start: str) -> tuple[str, Path]:
    """Names for this start; others than those of a run that was removed since."""
    for number in range(1000):
        name = f"{start}-{number}" if number else start
        file = folder / f"{name}.json"
        if not file.exists() or _read(directory, file) is not None:
            break
    return name, file


def _begin(old: Path | None, make: Callable[[], tuple[Path, Run]]) -> Placed:
    from unbug.store import next_attempt

    if old is None:
        path, run = make()
        return Placed(path=path, run=run)
    return Placed(path=old, run=_run(old), attempt=next_attempt(old))


def _joined(path: Path, attempt: int) -> Placed:
    return Placed(path=path, run=_run(path), attempt=attempt, first=False)


def _run(path: Path) -> Run:
    from unbug.store import open_reader

    reader = open_reader(path)
    try:
        return reader.run
    finally:
        reader.close()


def _status(path: Path) -> Status | None:
    """How the run stands. Where another host's clock makes it look silent, watch whether it really is."""
    from unbug.store import open_reader

    try:
        reader = open_reader(path)
    except UnbugError:
        return None
    try:
        status = reader.status
        until = time.monotonic() + SILENT_S
        while status.state is RunState.LOST and time.monotonic() < until:
            time.sleep(0.2)
            now = reader.status
            if now.updated_ns != status.updated_ns:
                return replace(now, state=RunState.RUNNING)
        return status
    finally:
        reader.close()


def _read(directory: Path, file: Path) -> tuple[Path, int] | None:
    """Folder and attempt that a file of the launch names; None if it is not there, or the run is not."""
    try:
        said: Any = json.loads(file.read_bytes())
        path, attempt = directory / str(said["run"]), int(said["attempt"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (path, attempt) if (path / "run.json").is_file() else None


def _text(directory: Path, placed: Placed) -> bytes:
    """A name where the run lies in the folder of runs, which may have another path on another node."""
    inside = placed.path.parent.absolute() == directory.absolute()
    path = placed.path.name if inside else str(placed.path.absolute())
    return json.dumps({"run": path, "id": placed.run.id, "attempt": placed.attempt}).encode()


def _write(file: Path, text: bytes) -> Path:
    """Under another name first, so that nobody reads half of it."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
    temporary.write_bytes(text)
    temporary.replace(file)
    return file


def _publish(file: Path, text: bytes) -> bool:
    """Say where the run is, unless somebody has. True if it was us."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
    try:
        temporary.write_bytes(text)
        try:
            os.link(temporary, file)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: the election has to do
            if file.exists():
                return False
            temporary.replace(file)
        return True
    except OSError:
        return not file.exists()
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
