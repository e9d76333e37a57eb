"""`unbug.run`: begin a run from code."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.errors import UsageError
from unbug.session import current
from unbug.session.ending import Ending
from unbug.session.naming import name_of_script
from unbug.session.session import Session
from unbug.settings import resolve

if TYPE_CHECKING:
    from unbug.session.children import ChildRecording
    from unbug.session.recording import Recording
    from unbug.settings import Settings

__all__ = ["attach_program", "run"]

_opening = threading.Lock()
"""Of two threads that begin a run at once, one does, and the other is told."""


def run(
    *,
    dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    budget: float | str | None = None,
    every: int | None = None,
    disk: int | str | None = None,
    quiet: bool | None = None,
    strict: bool | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Session:
    """Begin to record; best as `with unbug.run() as run:`.

    What is not given comes from `UNBUG_*`, `[tool.unbug]`, `unbug.toml` or the default. Under `unbug run`
    this joins the run of the command.

    Args:
        dir: Folder of the runs.
        name: Of the run; by default the script's, or its folder's where that says more (`main.py`).
        budget: Share of the training's wall time that recording may cost, `0.02` or `"2%"`.
        every: Record details on every N-th step instead of by budget.
        disk: Size in bytes, or such as `"200MB"`, above which old detail is thinned.
        quiet: Say nothing, neither live nor at the end.
        strict: Let a failure of unbug itself stop the program.
        resume: Go on with this run as its next attempt; `"auto"` for the newest unfinished one of the same
            program, arguments and folder.
    Raises:
        UsageError: a run is open already, or the run to resume is still running.
        RunNotFoundError: there is no run to resume.
        SettingError: a setting has a value that it cannot have.
        StoreError: the run's folder cannot be made.
    """
    flags: dict[str, Any] = {
        "dir": None if dir is None else os.fspath(dir),
        "name": name,
        "tags": (tags,) if isinstance(tags, str) else tuple(tags),
        "budget": budget,
        "every": every,
        "disk": disk,
        "quiet": quiet,
        "strict": strict,
        "resume": None if resume is None else os.fspath(resume),
    }
    settings = resolve(flags, spelling="")
    if not settings["enabled"]:
        return Session(None, owns=False)
    from unbug.session.children import attach_child

    with _opening:
        parents = os.environ.get("UNBUG_RUN_PATH")
        if parents and current.recording() is None and Path(parents).is_dir():
            attach_child(parents)  # a child of a recorded program joins, even before it imports torch
        open_one = current.recording()
        if open_one is not None:
            if current.is_of_command():
                return Session(open_one, owns=False)
            raise UsageError(
                f"a run is open already, {open_one.path}; close it first or log to it: runs do not nest"
            )
        return Session(_begin(settings), owns=True)


def attach_program() -> None:
    """Record this process from now on, as `UNBUG=1` asks. Called when it has imported torch.

    Nothing happens if it is recorded already, or is a command of unbug's own.
    """
    settings = resolve()
    if settings["enabled"] and current.recording() is None and "unbug.cli" not in sys.modules:
        _begin(settings, of_command=True)


def _begin(settings: Settings, *, of_command: bool = False) -> Recording | ChildRecording:
    from unbug.session.opening import open_recording

    script = _script()
    recording = open_recording(
        settings,
        name=name_of_script(script) if script else "session",
        command=[sys.executable, *sys.orig_argv[1:]],
        roots=(Path(script).parent,) if script else (),
    )
    current.begin(recording, of_command=of_command)
    recording.start(main=script)
    atexit.register(_close_forgotten, weakref.ref(recording))
    return recording


def _script() -> str | None:
    """File of the program, where it is one."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return file if isinstance(file, str) and Path(file).is_file() else None


def _close_forgotten(of: weakref.ref[Recording | ChildRecording]) -> None:
    """A run that nobody closed ends with the program."""
    recording = of()
    if recording is not None and not recording.closed:
        recording.close(Ending.of(getattr(sys, "last_value", None)))
