"""Python children of a recorded program attach to its run; those without torch pay next to nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from unbug.hooks.child._unbug_torch import forget, when_loaded

__all__ = ["child_environment", "when_torch_loads"]

_FOLDER = str(Path(__file__).parent / "child")


def child_environment(run: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to set in `os.environ`, so that children attach to the run by `unbug.session.attach_child(run)`.

    A child finds a `sitecustomize` first on its `PYTHONPATH`, which makes way for the user's own, and acts
    only once torch has been imported. Forked children are not concerned: the hub falls silent in them.

    Args:
        run: The run's folder.
        environment: What is set already; `os.environ` if None. `UNBUG=0` in it switches children off.
    """
    environment = os.environ if environment is None else environment
    if environment.get("UNBUG") == "0":
        return {}
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != _FOLDER]
    return {"PYTHONPATH": os.pathsep.join([_FOLDER, *paths]), "UNBUG_RUN_PATH": str(run.absolute())}


def when_torch_loads(action: Callable[[], None]) -> Callable[[], None]:
    """Call `action` once, right after the program has imported torch; at once if it has already.

    It is called in the thread that imports, which waits for it.

    Returns:
        Forgets the action, if it has not been called yet. Idempotent.
    """
    lock = threading.Lock()
    waiting = [action]

    def once() -> None:
        with lock:
            due = waiting.pop() if waiting else None
        if due is not None:
            due()

    finder = when_loaded("torch", once)
    return lambda: forget(finder)
