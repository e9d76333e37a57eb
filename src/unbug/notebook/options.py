"""The options of `%unbug` and `%%unbug`: those of `unbug run` that mean something in a notebook."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from unbug.errors import UsageError

__all__ = ["USAGE", "Asked", "parse"]

USAGE = """\
%%unbug [options]            record this cell: its own run, findings below it
%unbug [options] STATEMENT   record one statement
%unbug on [options]          record every cell from here on: one run, each model trained is a training of it
%unbug off                   end that run and show what was found
%unbug                       show the run that is open, or else the last one

Options: --name NAME, --tag TAG (may be repeated), --budget SHARE, --every N, --disk SIZE, --dir DIR, --quiet,
--fail-on error|warning (the cell fails if a finding this bad stands)."""

_VERBS = ("on", "off")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a line asks for.

    Args:
        verb: `on`, `off`, or empty.
        statement: Python to record; empty if none.
        flags: Settings as `settings.resolve` takes them.
    """

    verb: str
    statement: str
    flags: dict[str, Any]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"cannot read `%unbug`: {message}\n{USAGE}")


def parse(line: str) -> Asked:
    """Read what stands behind `%unbug` or `%%unbug`.

    Raises:
        UsageError: an option that there is not, or that lacks its value.
    """
    head, rest = _split(line.strip())
    parser = _parser()
    verb, statement = "", rest
    first, _, after = rest.partition(" ")
    if first in _VERBS:
        verb, statement = first, ""
        head += _words(after)
    given = vars(parser.parse_args(head))
    tags = tuple(given.pop("tag"))
    return Asked(verb=verb, statement=statement, flags={**given, "tags": tags})


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="%unbug", add_help=False, allow_abbrev=False)
    for option in ("--dir", "--name", "--budget", "--every", "--disk", "--fail-on"):
        parser.add_argument(option)
    parser.add_argument("--tag", action="append", default=[])
    parser.add_argument("--quiet", action="store_true", default=None)
    parser.add_argument("--strict", action="store_true", default=None)
    return parser


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot read `%unbug {text}`: {error}") from None


def _split(line: str) -> tuple[list[str], str]:
    """Our options in front, and the rest as it was typed: a statement is no list of words."""
    takes_value = {
        text for action in _parser()._actions if action.nargs != 0 for text in action.option_strings
    }
    head: Sequence[str] = []
    while line.startswith("-"):
        word, _, line = line.partition(" ")
        line = line.lstrip()
        head = [*head, word]
        if word in takes_value and line:
            value, line = _value(line)
            head = [*head, value]
    return list(head), line


def _value(line: str) -> tuple[str, str]:
    """The first word, which may be quoted, and what follows it."""
    if line[0] in "'\"":
        end = line.find(line[0], 1)
        if end < 0:
            raise UsageError(f"cannot read `%unbug … {line}`: the quotation does not end")
        return line[1:end], line[end + 1 :].lstrip()
    word, _, rest = line.partition(" ")
    return word, rest.lstrip()
