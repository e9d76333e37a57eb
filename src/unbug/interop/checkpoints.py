"""Checkpoints saved and loaded: where, when, whether sound, and what did not fit."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unbug.hooks import FileCall, PutCall, all_sound
from unbug.interop.states import Held, Sources, held, some_tensors

__all__ = ["Checkpoints"]

MOST_EVENTS, MOST_NAMES, MOST_FILES = 2_000, 100, 2_000
MOST_COPIES = 3
"""Of states that fit and came from no file: a target network is given new weights again and again."""


class Checkpoints:
    """Writes them.

    Args:
        event: Writes an event of kind `checkpoint`.
    """

    def __init__(self, event: Callable[[Mapping[str, Any]], None]) -> None:
        self._event = event
        self._sources = Sources()
        self._events = 0
        self._last: dict[str, Mapping[str, Any]] = {}
        self._copies: Counter[str] = Counter()

    def file(self, call: FileCall) -> None:
        """A file was written or read. What is no state of a model or an optimizer is passed over."""
        states = [held(state) for state in call.states]
        if call.by == "torch" and call.error is None and not any(one.is_state for one in states):
            return
        path, size = _place(call)
        if path is None:
            return  # to memory
        tensors = tuple(tensor for one in states for tensor in one.tensors)
        if call.action == "loaded":
            self._sources.read(path, tensors)
        parts = [name for one in states for name in one.parts]
        fields = _fields(call.action, "file", call.by, call.seconds, call.error) | {
            "path": path,
            "bytes": size,
            "tensors": len(tensors) if states else None,
            "parts": list(dict.fromkeys(parts)),
        }
        if call.action == "saved" and call.error is None:
            fields["healthy"] = _healthy(states)
        self._tell(fields)

    def put(self, call: PutCall) -> None:
        """A state was put into a model or an optimizer."""
        path = None if call.path is None else _absolute(call.path)
        some = some_tensors(call.state)
        if some:
            path = self._sources.of(some)
        misfits = (call.missing, call.unexpected, call.mismatched)
        if path is None and call.error is None and not any(misfits):
            self._copies[call.into] += 1
            if not some or self._copies[call.into] > MOST_COPIES:
                return
        fields = _fields("loaded", call.what, call.by, call.seconds, call.error) | {
            "path": path,
            "tensors": len(held(call.state).tensors) if call.state is not None else None,
            "into": call.into,
        }
        for name, found in zip(("missing", "unexpected", "mismatched"), misfits, strict=True):
            fields[name] = _listed(found)
            fields[f"{name}_count"] = None if found is None else len(found)
        self._tell(fields)

    def close(self) -> None:
        """Write the last ones of a program that saved more often than is written."""
        last, self._last = self._last, {}
        for fields in last.values():
            self._event(fields)

    def _tell(self, fields: Mapping[str, Any]) -> None:
        self._events += 1
        if self._events <= MOST_EVENTS:
            self._event(fields)
        else:
            self._last[f"{fields['action']} {fields['healthy']}"] = fields


def _fields(action: str, what: str, by: str, seconds: float, error: BaseException | None) -> dict[str, Any]:
    said = None if error is None else str(error).strip().partition("\n")[0][:500]
    return {
        "action": action,
        "what": what,
        "by": by,
        "path": None,
        "bytes": None,
        "seconds": round(seconds, 6),
        "tensors": None,
        "parts": [],
        "healthy": None,
        "into": None,
        "missing": [],
        "unexpected": [],
        "mismatched": [],
        "missing_count": None,
        "unexpected_count": None,
        "mismatched_count": None,
        "error": None if error is None else f"{type(error).__name__}: {said}",
    }


def _listed(found: Sequence[Any] | None) -> list[Any]:
    """At most `MOST_NAMES`; of a mismatch its name and both shapes."""
    return [
        dict(zip(("name", "there", "wanted"), one, strict=False)) if isinstance(one, tuple) else one
        for one in (found or ())[:MOST_NAMES]
    ]


def _healthy(states: Sequence[Held]) -> bool | None:
    answers = {all_sound(one.own) for one in states}
    return False if False in answers else True if True in answers else None


def _place(call: FileCall) -> tuple[str | None, int | None]:
    """Absolute path, and bytes on disk; of a call that names none, the folder of what it wrote."""
    inner = [_absolute(path) for path in call.inner]
    path = None if call.path is None else _absolute(call.path)
    if path is None or not (os.path.lexists(path) or "://" in path):
        known = _folder(inner)
        if known is not None:
            path = known
        elif path is not None and call.error is None:
            path = call.path  # the name of something elsewhere, such as a model of a hub
    return path, None if path is None else _size(path)


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _folder(paths: Sequence[str]) -> str | None:
    if len(paths) < 2:
        return paths[0] if paths else None
    try:
        return os.path.commonpath(paths)
    except ValueError:  # on different drives
        return paths[0]


def _size(path: str) -> int | None:
    """Of a file, or of the files in a folder and below."""
    try:
        if not Path(path).is_dir():
            return Path(path).stat().st_size
        files = (file for number, file in enumerate(Path(path).rglob("*")) if number < MOST_FILES)
        return sum(file.stat().st_size for file in files if file.is_file())
    except (OSError, ValueError):
        return None
