"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbug.settings import Settings, resolve

__all__ = [
    "add_directory",
    "add_json",
    "add_language",
    "add_run",
    "directory_of",
    "find",
    "options_with_value",
    "settings_of",
]


def add_run(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The run to look at."""
    parser.add_argument(
        "runs" if many else "wanted",
        metavar="RUN",
        nargs="+" if many else None,
        help="path, id, name or @last",
    )


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Where the runs are."""
    parser.add_argument("--dir", metavar="DIR", help="folder of the runs (default: the nearest unbug-runs/)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """For programs that read."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_language(parser: argparse.ArgumentParser) -> None:
    """The language of the findings."""
    parser.add_argument(
        "--lang",
        metavar="LANG",
        help="language of the findings, en or zh (default: $UNBUG_LANG, else zh where the locale is Chinese)",
    )


def options_with_value(parser: argparse.ArgumentParser) -> frozenset[str]:
    """Spellings of the options that take the next word."""
    return frozenset(
        option for action in parser._actions if action.nargs != 0 for option in action.option_strings
    )


def settings_of(options: argparse.Namespace, flags: Mapping[str, Any] | None = None) -> Settings:
    """Every setting, with what this call gave."""
    return resolve({"dir": getattr(options, "dir", None), **(flags or {})})


def directory_of(options: argparse.Namespace) -> Path:
    """The folder of runs that this call means."""
    directory: Path = settings_of(options).directory.value
    return directory


def find(options: argparse.Namespace) -> Path:
    """The run that this call means.

    Raises:
        RunNotFoundError, NotARunError, NewerFormatError: it cannot be opened.
    """
    from unbug.store import find_run

    return find_run(options.wanted, directory_of(options))
