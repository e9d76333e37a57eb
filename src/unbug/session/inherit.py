"""What children of the program inherit: the run they belong to, and the flags of this one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.settings import KNOWN

if TYPE_CHECKING:
    from unbug.settings import Settings

__all__ = ["Inherited"]


class Inherited:
    """Variables set in the environment while a run is recorded."""

    def __init__(self, path: Path, settings: Settings, *, attempt: int = 0) -> None:
        from unbug.hooks import child_environment

        self._set = child_environment(path)
        if self._set:
            self._set["UNBUG_ATTEMPT"] = str(attempt)
        for name, one in settings.all.items():
            if one.origin.startswith("--") or one.origin.endswith("=…"):
                variable = KNOWN[name].variable
                if variable and name not in {"dir", "name", "tags", "resume", "notify", "fail_on", "stop_on"}:
                    self._set[variable] = _text(one.value)
        self._before: dict[str, str | None] = {}

    def give(self) -> None:
        """Set them."""
        self._before = {name: os.environ.get(name) for name in self._set}
        os.environ.update(self._set)

    def take_back(self) -> None:
        """Put back what was there; a variable that the program has changed since is its own. Idempotent."""
        for name, before in self._before.items():
            if os.environ.get(name) != self._set[name]:
                continue
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
        self._before = {}


def _text(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else str(value)
