"""Find the value of every setting, and remember where it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbug.errors import SettingError
from unbug.settings.values import KNOWN

__all__ = ["Setting", "Settings", "resolve"]

RUNS_FOLDER = "unbug-runs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A value and its origin, e.g. `--budget`, `UNBUG_BUDGET`, `pyproject.toml`, `default`."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class Settings:
    """Every setting by name; `settings["budget"]` is the value."""

    all: Mapping[str, Setting]
    base: Path = field(default_factory=Path.cwd)

    def __getitem__(self, name: str) -> Any:
        return self.all[name].value

    def origin(self, name: str) -> str:
        """Where the value came from, in words."""
        return self.all[name].origin

    @property
    def directory(self) -> Setting:
        """The folder of runs: the setting, else the nearest `unbug-runs/` upwards, else `./unbug-runs/`."""
        given = self.all["dir"]
        if given.value is not None:
            return Setting(name="dir", value=Path(given.value).expanduser(), origin=given.origin)
        for folder in (self.base, *self.base.parents):
            if (folder / RUNS_FOLDER).is_dir():
                origin = "default" if folder == self.base else f"nearest {RUNS_FOLDER}/ upwards"
                return Setting(name="dir", value=folder / RUNS_FOLDER, origin=origin)
        return Setting(name="dir", value=self.base / RUNS_FOLDER, origin="default")


def resolve(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
    spelling: str = "--",
) -> Settings:
    """Resolve every setting: flag > `UNBUG_*` > `[tool.unbug]` or `unbug.toml` > default.

    Args:
        flags: What the call gave; None stands for not given.
        environ: The environment; by default the process's.
        start: Folder to look for a settings file from, upwards; by default the current one.
        spelling: How a flag is spelt in the origin: `--` on the command line, empty for `unbug.run(...)`.
    Raises:
        SettingError: a value that the setting cannot have, or a setting that there is not.
    """
    environ = os.environ if environ is None else environ
    start = _current_folder() if start is None else start
    found = {name: Setting(name=name, value=known.default, origin="default") for name, known in KNOWN.items()}
    for path, name, given in _from_file(start):
        found[name] = _read(name, given, origin=str(path))
    for name, known in KNOWN.items():
        if known.variable and known.variable in environ:
            found[name] = _read(name, environ[known.variable], origin=known.variable)
    for name, given in (flags or {}).items():
        if given is not None and not (isinstance(given, tuple | list) and not given):
            option = f"{spelling}{name.replace('_', '-')}" if spelling else f"{name}=…"
            found[name] = _read(name, given, origin=option)
    return Settings(found, start)


def _read(name: str, given: object, *, origin: str) -> Setting:
    known = KNOWN[name]
    try:
        return Setting(name=name, value=known.read(given), origin=origin)
    except (ValueError, TypeError):
        raise SettingError(name, given, known.allowed, origin=origin) from None


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # the folder was removed under the program; it still has to run
        return Path("/")


def _from_file(start: Path) -> Iterator[tuple[Path, str, object]]:
    """Settings of the nearest file that has any; `unbug.toml` is asked before `pyproject.toml`."""
    for folder in (start, *start.parents):
        for file_name in ("unbug.toml", "pyproject.toml"):
            path = folder / file_name
            if not path.is_file():
                continue
            table = _parse(path)
            if file_name == "pyproject.toml":
                table = table.get("tool", {}).get("unbug")
            if table is not None:
                for name, given in _flatten(table):
                    if name not in KNOWN or name == "enabled":
                        raise SettingError(name, given, _near(name), origin=str(path))
                    yield path, name, given
                return


def _flatten(table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if key == "privacy" and isinstance(value, Mapping):
            yield from ((f"privacy.{inner}", given) for inner, given in value.items())
        else:
            yield key.replace("-", "_"), value


def _near(name: str) -> str:
    import difflib

    names = [known for known in KNOWN if known != "enabled"]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"no value: there is no such setting, only {', '.join(names)}{hint}"


def _parse(path: Path) -> Any:
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        if path.name == "pyproject.toml" and "tool.unbug" not in path.read_text(errors="replace"):
            return {}  # somebody else's broken file is not ours to complain about
        raise SettingError(path.name, "the file", f"TOML: {error}", origin=str(path)) from None
    except OSError:
        return {}
