"""`unbug rules`: every rule there is, ours and those of plug-ins."""

from __future__ import annotations

import argparse
import json
import sys

from unbug.cli.options import add_directory, add_json
from unbug.cli.style import terminal_width, wants_color
from unbug.cli.table import Column, render_table

__all__ = ["arguments", "run"]

_COLUMNS = (
    Column(title="CODE", style="bold"),
    Column(title="SEVERITY"),
    Column(title="NAME"),
    Column(title="WHAT", gives_way=True),
)
_STYLE = {"error": "red", "warning": "yellow", "note": "dim"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    from unbug.detect import rules

    known = rules()
    if options.json:
        fields = [
            {
                "code": rule.code,
                "name": rule.name,
                "severity": rule.severity.value,
                "summary": rule.summary,
                "diagnoses": list(rule.diagnoses),
                "reads": list(rule.reads),
                "final": rule.final,
                "since": rule.since,
                "origin": rule.origin,
            }
            for rule in known
        ]
        print(json.dumps(fields, indent=1))
        return 0
    rows = [[rule.code, rule.severity.value, rule.name, rule.summary] for rule in known]
    styles = [["", _STYLE[rule.severity.value], "", ""] for rule in known]
    width = terminal_width() if sys.stdout.isatty() else None
    print(render_table(_COLUMNS, rows, width=width, color=wants_color(), styles=styles))
    return 0
