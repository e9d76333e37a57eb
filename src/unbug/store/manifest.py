"""The two small JSON files of a run: the manifest, written once, and the status, replaced while the run
lives."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from unbug.errors import NewerFormatError, NotARunError
from unbug.types import FORMAT_VERSION, Run, RunState, Status

__all__ = [
    "MANIFEST",
    "STATUS",
    "read_manifest",
    "read_status",
    "replace_file",
    "write_manifest",
    "write_status",
]

MANIFEST, STATUS = "run.json", "status.json"
_MAX_BYTES = 1 << 26
_MAX_NS = 1 << 62
"""No count and no time since the epoch is larger: this is the year 2116."""


def replace_file(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file so that a reader sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _json(data: Mapping[str, Any]) -> bytes:
    from unbug.store.eventlog import plain

    try:
        text = json.dumps(data, indent=1, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps(plain(data), indent=1, allow_nan=False)
    return text.encode() + b"\n"


def write_manifest(path: Path, run: Run) -> None:
    """Write the manifest of a run folder."""
    replace_file(path / MANIFEST, _json(asdict(run)), sync=True)


def write_status(path: Path, status: Status) -> None:
    """Replace the status of a run folder."""
    replace_file(path / STATUS, _json(asdict(status)))


def _load(path: Path) -> dict[str, Any]:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # reading a pipe or a device may never end
        raise ValueError("it is no plain file")
    if about.st_size > _MAX_BYTES:
        raise ValueError("it is too large")
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError("it holds no fields")
    return data


def read_manifest(path: Path) -> Run:
    """The manifest of a run folder. Fields that this unbug does not know are ignored.

    Raises:
        NotARunError: there is none, or it cannot be read.
        NewerFormatError: a newer unbug wrote it.
    """
    if not path.is_dir():
        raise NotARunError(str(path), reason="it is no folder" if path.exists() else "there is nothing there")
    try:
        data = _load(path / MANIFEST)
        version = data["format_version"]
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"its format version is {version!r}")
        if version > FORMAT_VERSION:
            raise NewerFormatError(str(path), version, FORMAT_VERSION)
        given = {field.name: data[field.name] for field in fields(Run) if field.name in data}
        for name, kind in (("id", str), ("name", str), ("created_ns", int), ("anchor_ns", int)):
            if not isinstance(given[name], kind) or (kind is int and not 0 <= given[name] <= _MAX_NS):
                raise ValueError(f"its {name} is {given[name]!r:.40}")
        given["unbug_version"] = str(given.get("unbug_version", ""))
        given["tags"] = tuple(str(tag) for tag in given.get("tags", ()))
        given["facts"] = dict(given.get("facts", {}))
        return Run(**given)
    except FileNotFoundError:
        raise NotARunError(str(path)) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotARunError(str(path), reason=f"its {MANIFEST} cannot be read: {error}") from None


def _whole(value: Any) -> int:
    number = int(value)
    if abs(number) > _MAX_NS:
        raise ValueError("a number is out of range")
    return number


def read_status(path: Path) -> Status:
    """The status of a run folder as it was written last; `lost` if there is none that can be read."""
    try:
        data = _load(path / STATUS)
        given = {field.name: data[field.name] for field in fields(Status) if field.name in data}
        given["state"] = RunState(given["state"])
        given["updated_ns"] = _whole(given["updated_ns"])
        given["lost"] = tuple(str(line) for line in given.get("lost", ()))
        given["findings"] = {
            str(name): _whole(count) for name, count in dict(given.get("findings", {})).items()
        }
        for name in ("pid", "started_ticks", "trainings", "steps"):
            given[name] = _whole(given.get(name, 0))
        for name in ("exit_code", "ended_ns"):
            given[name] = None if given.get(name) is None else _whole(given[name])
        given["last_loss"] = None if given.get("last_loss") is None else float(given["last_loss"])
        for name in ("host", "boot_id", "message"):
            given[name] = str(given.get(name, ""))
        return Status(**given)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        return Status(state=RunState.LOST, updated_ns=0, message=f"{STATUS} cannot be read: {error}")
