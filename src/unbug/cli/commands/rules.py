"""`unbug rules`: every rule there is, ours and those of plug-ins."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from unbug.cli.options import add_directory, add_json, add_language, settings_of
from unbug.cli.style import terminal_width, wants_color
from unbug.cli.table import Column, render_table
from unbug.types import chinese

if TYPE_CHECKING:
    from unbug.detect import Rate, Rule

__all__ = ["arguments", "run"]

_COLUMNS = (
    Column(title="CODE", style="bold"),
    Column(title="SEVERITY"),
    Column(title="FALSE", right=True),
    Column(title="NAME"),
    Column(title="CLASSES", gives_way=True, drop=2),
    Column(title="WHAT", gives_way=True),
)
_STYLE = {"error": "red", "warning": "yellow", "note": "dim"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "FALSE: share of healthy programs on which it gave a warning or an error, when that was last measured"
    )
    add_json(parser)
    add_language(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    from unbug.detect import rate, rules
    from unbug.report import language_of

    known = rules()
    if options.json:
        print(json.dumps([_json(rule, rate(rule.code)) for rule in known], indent=1))
        return 0
    named = chinese if language_of(settings_of(options, {"lang": options.lang})["lang"]) == "zh" else str
    rows = [
        [one.code, one.severity.value, in_short(rate(one.code)), named(one.name), _classes(one), one.summary]
        for one in known
    ]
    styles = [["", _STYLE[rule.severity.value], "dim", "", "dim", ""] for rule in known]
    width = terminal_width() if sys.stdout.isatty() else None
    print(render_table(_COLUMNS, rows, width=width, color=wants_color(), styles=styles))
    measured = next((found for rule in known if (found := rate(rule.code))), None)
    told = "not measured yet" if measured is None else f"alarms on healthy programs, {_by(measured)}"
    print(f"\nFALSE: {told}")
    return 0


def _by(measured: Rate) -> str:
    return f"of {measured.runs}, measured {measured.date} with unbug {measured.version}"


def _classes(rule: Rule) -> str:
    return ", ".join(rule.diagnoses)


def in_short(measured: Rate | None) -> str:
    """`0/207`, or `-` where it was not measured."""
    return "-" if measured is None else f"{measured.alarms}/{measured.runs}"


def _json(rule: Rule, measured: Rate | None) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "name_zh": chinese(rule.name),
        "severity": rule.severity.value,
        "summary": rule.summary,
        "diagnoses": list(rule.diagnoses),
        "explains": list(rule.explains),
        "false_alarms": None if measured is None else asdict(measured),
        "reads": list(rule.reads),
        "final": rule.final,
        "since": rule.since,
        "origin": rule.origin,
    }
