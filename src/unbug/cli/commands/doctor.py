"""`unbug doctor`: is all there, does it work here, and which setting comes from where."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unbug.cli.options import add_directory, add_json, settings_of
from unbug.cli.style import clip, pad, paint, terminal_width, wants_color
from unbug.cli.words import size
from unbug.settings import Settings

__all__ = ["arguments", "run"]

_NEEDED = ("numpy", "psutil", "pyarrow", "duckdb", "rich", "shtab")
_FRAMEWORKS = ("torch", "pandas", "lightning", "transformers", "accelerate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at. `state` is `ok`, `warning` or `error`."""

    name: str
    state: str
    says: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Look at everything; 1 if something does not work."""
    settings = settings_of(options)
    checks = [*_versions(), _kernel(), *_directory(settings), *_hooks(), *_rules()]
    if options.json:
        print(
            json.dumps(
                {"checks": [asdict(check) for check in checks], "settings": _settings(settings)}, indent=1
            )
        )
    else:
        _print(checks, settings)
    return 1 if any(check.state == "error" for check in checks) else 0


def _versions() -> Iterator[Check]:
    from unbug import __version__

    where = f"{platform.system()} {platform.machine()}"
    yield Check(name="unbug", state="ok", says=f"{__version__}, Python {platform.python_version()}, {where}")
    for name in _NEEDED:
        version = _version(name)
        says = version or f"is not installed; `pip install {name}`"
        yield Check(name=name, state="ok" if version else "error", says=says)
    for name in _FRAMEWORKS:
        version = _version(name)
        if version is None and name == "torch":
            yield Check(name=name, state="warning", says="is not installed: runs can be read, not recorded")
        elif version is not None:
            yield Check(name=name, state="ok", says=version)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _directory(settings: Settings) -> Iterator[Check]:
    path: Path = settings.directory.value
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".unbug-doctor-"):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        yield Check(
            name="runs",
            state="error",
            says=f"{path} cannot be written: {reason}; choose another with `--dir`",
        )
        return
    status = os.statvfs(existing)
    free = status.f_bavail * status.f_frsize
    used, runs = _used(path)
    says = f"{path}: {runs} runs, {size(used)}; {size(free)} free"
    yield Check(name="runs", state="ok" if free > settings["disk"] else "warning", says=says)


def _used(path: Path) -> tuple[int, int]:
    """Bytes below a folder, and how many runs it holds."""
    total = runs = 0
    for folder, _, files in os.walk(path):
        runs += "run.json" in files
        for name in files:
            try:
                total += (Path(folder) / name).stat().st_size
            except OSError:
                continue  # removed while we look
    return total, runs


def _kernel() -> Check:
    from unbug.numerics import kernel_state

    instructions, why = kernel_state()
    if instructions:
        return Check(name="kernel", state="ok", says=f"statistics are computed natively, by {instructions}")
    return Check(name="kernel", state="warning", says=f"{why}; statistics are computed by numpy, slower")


def _hooks() -> Iterator[Check]:
    if importlib.util.find_spec("torch") is None:
        return
    from unbug.hooks import self_test

    try:
        tested = self_test()
        for told in tested:
            if not told.ok:
                yield Check(name="hooks", state="warning", says=f"{told.name} {told.says}")
        works = f"{sum(told.ok for told in tested)} of {len(tested)} private parts of torch work as expected"
        yield Check(name="hooks", state="ok", says=works)
    except Exception as error:  # a broken torch is what doctor is asked about
        yield Check(name="hooks", state="error", says=f"{type(error).__name__}: {error}")


def _rules() -> Iterator[Check]:
    from unbug.detect import rules

    known = rules()
    foreign = sum(rule.origin != "unbug" for rule in known)
    yield Check(name="rules", state="ok", says=f"{len(known)}, {foreign} of them from plug-ins")


def _settings(settings: Settings) -> list[dict[str, Any]]:
    listed = [settings.directory if name == "dir" else one for name, one in settings.all.items()]
    return [{"name": one.name, "value": _plain(one.value), "origin": one.origin} for one in listed]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _shown(name: str, value: Any) -> str:
    if value in (None, [], {}):
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return {"disk": size, "budget": "{:.2%}".format}.get(name, str)(value)


def _print(checks: list[Check], settings: Settings) -> None:
    color, width = wants_color(), terminal_width()
    marks = {"ok": paint("ok  ", "green", color=color), "warning": paint("warn", "yellow", color=color),
             "error": paint("FAIL", "bold red", color=color)}  # fmt: skip
    left = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{marks[check.state]}  {pad(check.name, left)}  {check.says}")
    print(f"\n{paint('settings', 'bold', color=color)}")
    listed = _settings(settings)
    left = max(len(one["name"]) for one in listed)
    for one in listed:
        text = _shown(one["name"], one["value"])
        line = f"  {pad(one['name'], left)}  {clip(text, width - left - 24)}"
        print(f"{line}  {paint('(' + one['origin'] + ')', 'dim', color=color)}")
