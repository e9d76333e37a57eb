"""Small helpers for Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["arguments", "cell", "code", "docstring", "paragraphs", "signature", "table"]

_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Source):\s*(.*)$")
_ITEM = re.compile(r"^    (\*{0,2}[\w*, ]+?): (.*)$")


def code(names: Iterable[str]) -> str:
    """Names in code type, parted by commas."""
    return ", ".join(f"`{name}`" for name in names)


def cell(text: object) -> str:
    """Text that may stand in a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, one line a row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(item) for item in line) + " |" for line in lines)


def paragraphs(text: str) -> str:
    """Plain text of a docstring section, joined to one line a paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def docstring(thing: object) -> str:
    """A docstring as Markdown: prose, then a list for `Args` and `Raises`, a paragraph for the others."""
    blocks: list[str] = []
    section, lines = "", list[str]()
    for line in [*inspect.cleandoc(thing.__doc__ or "").splitlines(), "Source:"]:
        title = _SECTION.match(line)
        if title is None:
            lines.append(line)
            continue
        if any(line.strip() for line in lines):
            blocks += [f"**{section}**"] * bool(section)
            blocks.append(_items(lines) if section in ("Args", "Raises") else paragraphs("\n".join(lines)))
        section, lines = title.group(1), [f"    {title.group(2)}"]
    return "\n\n".join(blocks)


def arguments(thing: object) -> dict[str, str]:
    """The `Args` of a docstring: what it says of each name."""
    text = docstring(thing)
    found: dict[str, str] = {}
    for names, meaning in re.findall(r"^- ((?:`[\w*]+`(?:, )?)+): (.*)$", text, flags=re.M):
        found |= dict.fromkeys(re.findall(r"`([\w*]+)`", names), meaning)
    return found


def _items(lines: Iterable[str]) -> str:
    items: list[str] = []
    for line in lines:
        if found := _ITEM.match(line):
            items.append(f"- {code(found.group(1).split(', '))}: {found.group(2).strip()}")
        elif items and line.strip():
            items[-1] += " " + line.strip()
    return "\n".join(items)


def signature(function: Callable[..., Any], name: str) -> str:
    """A function's signature as a code block, one parameter a line where they are many."""
    described = inspect.signature(function)
    parts, keyword_only = list[str](), False
    for each in described.parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            parts.append("*")
        keyword_only = keyword_only or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        parts.append(_parameter(each))
    given = described.return_annotation
    back = "" if given is inspect.Signature.empty else f" -> {_annotation(given)}"
    text = f"{name}({', '.join(parts)}){back}"
    if len(text) > 90:
        text = "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){back}"])
    return f"```python\n{text}\n```"


def _parameter(each: inspect.Parameter) -> str:
    stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
    typed = each.annotation is not each.empty
    text = f"{stars}{each.name}" + (f": {_annotation(each.annotation)}" if typed else "")
    if each.default is each.empty:
        return text
    return f"{text} = {each.default!r}" if typed else f"{text}={each.default!r}"


def _annotation(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
