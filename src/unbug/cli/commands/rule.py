"""`unbug rule CODE`: the page of one rule, as its file has it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING, Any

from unbug.cli.options import add_directory, add_json
from unbug.cli.style import paint, terminal_width, wants_color

if TYPE_CHECKING:
    from unbug.detect import Rule

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("code", metavar="CODE", help="such as T101, or the rule's name")
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the page."""
    from unbug.detect import rule

    known = rule(options.code)
    if options.json:
        print(json.dumps(_json(known), indent=1))
        return 0
    color, width = wants_color(), min(terminal_width(), 100)
    head = paint(f"{known.code}  {known.name}", "bold", color=color)
    print(f"{head}  ({known.severity.value})")
    print(textwrap.fill(known.summary, width))
    for title, text in known.sections.items():
        print(f"\n{paint(title, 'bold', color=color)}")
        print(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  "))
    thresholds = _thresholds(known)
    if thresholds:
        print(f"\n{paint('Thresholds', 'bold', color=color)}  (set them in [tool.unbug.rules.{known.code}])")
        for one in thresholds:
            line = f"{one['name']} = {one['default']:g} {one['unit']}"
            line += f", from {one['low']:g} to {one['high']:g}: {one['why']}"
            print(textwrap.fill(line, width, initial_indent="  ", subsequent_indent="      "))
    print(f"\n{paint('Stands for', 'bold', color=color)}  {', '.join(known.diagnoses)}")
    if known.final:
        print("It speaks when the training ends; while that runs, only as a note.")
    return 0


def _thresholds(rule: Rule) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "default": field.default, **field.metadata}
        for field in dataclasses.fields(rule.thresholds)
    ]


def _json(rule: Rule) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "sections": rule.sections,
        "thresholds": _thresholds(rule),
        "diagnoses": list(rule.diagnoses),
        "reads": list(rule.reads),
        "events": list(rule.events),
        "final": rule.final,
        "since": rule.since,
        "origin": rule.origin,
    }
