"""`unbug rule CODE`: the page of one rule, as its file has it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING, Any

from unbug.cli.options import add_directory, add_json, add_language, settings_of
from unbug.cli.style import paint, terminal_width, wants_color
from unbug.types import chinese

if TYPE_CHECKING:
    from unbug.detect import Rate, Rule
    from unbug.types import Finding

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("code", metavar="CODE", help="such as T101, or the rule's name")
    add_json(parser)
    add_language(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the page."""
    from unbug.detect import rate, rule
    from unbug.report import language_of, sentence, wrapped

    known = rule(options.code)
    measured, example = rate(known.code), known.example
    if options.json:
        print(json.dumps(_json(known, measured, example), indent=1))
        return 0
    in_chinese = language_of(settings_of(options, {"lang": options.lang})["lang"]) == "zh"
    color, width = wants_color(), min(terminal_width(), 100)
    name = chinese(known.name) if in_chinese else str(known.name)
    print(f"{paint(f'{known.code}  {name}', 'bold', color=color)}  ({known.severity.value})")
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
    if example is not None:
        print(f"\n{paint('Example', 'bold', color=color)}")
        for text in (example.message, example.advice):
            said = chinese(text) if in_chinese else str(text)
            print("\n".join(wrapped(sentence(said), width, indent=2)))
    print(f"\n{paint('Stands for', 'bold', color=color)}  {', '.join(known.diagnoses) or 'no class'}")
    print(f"{paint('False alarms', 'bold', color=color)}  {in_words(measured)}")
    print(
        f"{paint('Accept it', 'bold', color=color)}  "
        f"`# unbug: ignore[{known.code}] reason` on the line, or [tool.unbug.suppress]"
    )
    if known.final:
        print("It speaks when the training ends; while that runs, only as a note.")
    return 0


def in_words(measured: Rate | None) -> str:
    """The rate of false alarms as a sentence."""
    if measured is None:
        return "not measured"
    return (
        f"{measured.alarms} of {measured.runs} healthy programs ({measured.share:.1%}, "
        f"at most {measured.high:.1%} with 95 % confidence; {measured.date}, unbug {measured.version})"
    )


def _thresholds(rule: Rule) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "default": field.default, **field.metadata}
        for field in dataclasses.fields(rule.thresholds)
    ]


def _json(rule: Rule, measured: Rate | None, example: Finding | None) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "name_zh": chinese(rule.name),
        "severity": rule.severity.value,
        "summary": rule.summary,
        "sections": rule.sections,
        "thresholds": _thresholds(rule),
        "diagnoses": list(rule.diagnoses),
        "explains": list(rule.explains),
        "example": None if example is None else {"message": example.message, "advice": example.advice},
        "false_alarms": None if measured is None else dataclasses.asdict(measured),
        "reads": list(rule.reads),
        "events": list(rule.events),
        "final": rule.final,
        "since": rule.since,
        "origin": rule.origin,
    }
