"""One page for each rule, and their index."""

from __future__ import annotations

import dataclasses
import re

from tools.pages.markdown import code, paragraphs, table
from unbug.cli.commands.rule import in_words
from unbug.cli.commands.rules import in_short
from unbug.detect import rate, rules
from unbug.detect.contract import Rule

__all__ = ["pages"]

FAMILIES = {
    "N": "Numerics", "G": "Gradients", "A": "Activations", "O": "Optimisation", "T": "Training loop",
    "L": "Loss and output", "D": "Data", "M": "Model", "R": "Resources", "K": "Ranks",
}  # fmt: skip


def pages() -> dict[str, str]:
    """File name in docs/reference/rules -> text."""
    known = sorted((rule for rule in rules() if rule.origin == "unbug"), key=lambda rule: rule.code)
    return {"index.md": _index(known)} | {f"{rule.code}.md": _page(rule) for rule in known}


def _index(known: list[Rule]) -> str:
    parts = [
        "# Rules",
        "A rule looks at what was recorded of one training and states findings. `unbug rules` prints this "
        "list, `unbug rule CODE` a page of it. A *final* rule speaks when the training has ended, live only "
        "as a note. False alarms are healthy programs on which a rule gave a warning or an error, of those "
        "that were measured; `-` is not measured.",
    ]
    for letter, title in FAMILIES.items():
        family = [rule for rule in known if rule.code[0] == letter]
        if family:
            rows = [
                (
                    f"[{r.code}]({r.code}.md)",
                    f"`{r.name}`",
                    r.severity.value,
                    in_short(rate(r.code)),
                    r.summary,
                )
                for r in family
            ]
            parts += [f"## {title}", table(("code", "name", "severity", "false alarms", "says"), rows)]
    return "\n\n".join(parts)


def _page(rule: Rule) -> str:
    facts = [
        ("severity", rule.severity.value + (", final" if rule.final else "")),
        ("confidence", f"{rule.confidence:.2f} where the finding does not say otherwise"),
        ("diagnoses", code(rule.diagnoses)),
        (
            "reads",
            code((*rule.reads, *(f"event {kind}" for kind in rule.events))),
        ),
        ("explains", code(rule.explains) if rule.explains else "what the table of causes says of its class"),
        ("false alarms", in_words(rate(rule.code))),
        ("since", rule.since),
    ]
    parts = [f"# {rule.code} {rule.name}", rule.summary, _list(facts)]
    for title, text in rule.sections.items():
        parts += [f"## {title}", _linked(paragraphs(text[:1].upper() + text[1:]))]
    fields = dataclasses.fields(rule.thresholds)
    if fields:
        rows = [_threshold(field) for field in fields]
        parts += [
            "## Thresholds",
            table(("name", "default", "unit", "range", "why"), rows),
            f"Set one in `[tool.unbug.rules.{rule.code}]` of `pyproject.toml`, e.g. "
            f"`{fields[0].name} = {fields[0].default:g}`.",
        ]
    if rule.example is not None:
        said = f"> {_sentence(rule.example.message)}\n>\n> {_sentence(rule.example.advice)}"
        parts += ["## Example", said]
    parts += ["## Cases", "Each of these is tested."]
    parts.append("\n".join(f"- {'fires' if case.fires else 'silent'}: {case.label}" for case in rule.cases))
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _list(facts: list[tuple[str, str]]) -> str:
    return "\n".join(f"- {title}: {text}" for title, text in facts)


def _threshold(field: dataclasses.Field[float]) -> tuple[str, str, str, str, str]:
    said = field.metadata
    span = f"{said['low']:g} to {said['high']:g}"
    return f"`{field.name}`", f"{field.default:g}", said["unit"], span, said["why"]


def _linked(text: str) -> str:
    """Link arXiv numbers and pages of these docs."""
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"`docs/((?:explanation|reference|how-to)/[\w-]+\.md)`", r"[\1](../../\1)", text)
