"""Begin a run in a notebook: what `%%unbug` and `%unbug on` do."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbug.errors import UsageError
from unbug.session import current
from unbug.session.begin import _close_forgotten
from unbug.session.session import Session
from unbug.settings import resolve

__all__ = ["run_in_notebook"]


def run_in_notebook(flags: Mapping[str, Any], *, name: str) -> Session:
    """Begin to record. An `unbug.run` inside of what is recorded joins this run, as under `unbug run`.

    Args:
        flags: Settings as the magic's options gave them; what is None comes from elsewhere.
        name: Of the run, where no setting gives one.
    Raises:
        UsageError: a run is open already.
        SettingError: a setting has a value that it cannot have.
        StoreError: the run's folder cannot be made.
    """
    settings = resolve(flags)
    if not settings["enabled"]:
        return Session(None, owns=False)
    open_one = current.recording()
    if open_one is not None:
        raise UsageError(f"a run is open already, {open_one.path}; `%unbug off` ends it: runs do not nest")
    from unbug.session.opening import open_recording

    command = [Path(sys.executable or "python").name, *sys.orig_argv[1:]]
    recording = open_recording(settings, name=name, command=command)
    current.begin(recording, of_command=True)
    recording.start()
    atexit.register(_close_forgotten, weakref.ref(recording))
    return Session(recording, owns=True)


def notebook_name() -> str:
    """Name of the notebook's file, as its front end tells it; `notebook` where it does not."""
    main = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    for told in (main.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            return Path(told).stem
    return "notebook"
