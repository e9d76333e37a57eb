"""The two small JSON files of a run: the manifest, written once, and the status, replaced while the run
lives."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from unbug.errors import NewerFormatError, NotARunError
from unbug.store.access import Where, read_from, release, root_of
from unbug.store.liveness import corrected
from unbug.types import FORMAT_VERSION, Run, RunState, Status

__all__ = [
    "MANIFEST",
    "STATUS",
    "make_file",
    "manifest_of",
    "present_status",
    "read_manifest",
    "read_status",
    "replace_file",
    "replace_patiently",
    "status_bytes",
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
    try:
        _write_new(temporary, data, sync=sync)
        replace_patiently(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_file(path: Path, data: bytes) -> bool:
    """Write a file that was not there; of several processes one succeeds. False if it was there."""
    try:
        _write_new(path, data, sync=True)
    except FileExistsError:
        return False
    return True


def _write_new(path: Path, data: bytes, *, sync: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def replace_patiently(source: Path, target: Path) -> None:
    """Rename over a file that another process may hold open: Windows refuses for as long as it does.

    Raises:
        PermissionError: it was still refused after about half a second.
    """
    for wait_s in (0.0, 0.01, 0.03, 0.06, 0.12, 0.25):
        if wait_s:
            time.sleep(wait_s)
        try:
            source.replace(target)
        except PermissionError:
            if os.name != "nt":  # elsewhere it means what it says
                raise
            continue
        return
    source.replace(target)


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


def status_bytes(status: Status) -> bytes:
    """A status as it is stored."""
    return _json(asdict(status))


def write_status(path: Path, status: Status) -> None:
    """Replace the status of a run folder."""
    replace_file(path / STATUS, status_bytes(status))


def _load(path: Where) -> dict[str, Any]:
    if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no plain file")  # reading a pipe or a device may never end
    text = read_from(path, 0, limit=_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError("it is too large")
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it holds no fields")
    return data


def read_manifest(path: Path) -> Run:
    """The manifest of a run, in a folder or packed. Fields that this unbug does not know are ignored.

    Raises:
        NotARunError: there is none, or it cannot be read.
        NewerFormatError: a newer unbug wrote it.
    """
    root = root_of(path)
    try:
        return manifest_of(root)
    finally:
        release(root)


def manifest_of(path: Where) -> Run:
    """As `read_manifest`, of a run that is open."""
    if isinstance(path, Path) and not path.is_dir():
        what = "it is neither a folder nor a packed run" if path.exists() else "there is nothing there"
        raise NotARunError(str(path), reason=what)
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


def present_status(path: Where, *, now_ns: int) -> Status:
    """The status as it must be: see `liveness.corrected`. A packed run does not go on."""
    status = read_status(path)
    if isinstance(path, Path):
        return corrected(status, now_ns=now_ns)
    if status.state is RunState.RUNNING:
        return replace(status, state=RunState.LOST, message="it was packed while it was still recorded")
    return status


def read_status(path: Where, name: str = STATUS) -> Status:
    """The status of a run as it was written last; `lost` if there is none that can be read.

    Args:
        name: Of the file, below the run.
    """
    try:
        where = path
        for part in name.split("/"):
            where = where / part
        data = _load(where)
        given = {one.name: data[one.name] for one in fields(Status) if one.name in data}
        given["state"] = RunState(given["state"])
        given["updated_ns"] = _whole(given["updated_ns"])
        given["lost"] = tuple(str(line) for line in given.get("lost", ()))
        given["findings"] = {
            str(severity): _whole(count) for severity, count in dict(given.get("findings", {})).items()
        }
        for field in ("pid", "started_ticks", "trainings", "steps", "attempt"):
            given[field] = _whole(given.get(field, 0))
        for field in ("exit_code", "ended_ns", "started_ns"):
            given[field] = None if given.get(field) is None else _whole(given[field])
        given["last_loss"] = None if given.get("last_loss") is None else float(given["last_loss"])
        for field in ("host", "boot_id", "message"):
            given[field] = str(given.get(field, ""))
        return Status(**given)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        return Status(state=RunState.LOST, updated_ns=0, message=f"{name} cannot be read: {error}")
