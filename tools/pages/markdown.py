"""Small helpers for Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = ["cell", "code", "docstring", "paragraphs", "signature", "table"]

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


def _items(lines: Iterable[str]) -> str:
    items: list[str] = []
    for line in lines:
        if found := _ITEM.match(line):
            items.append(f"- {code(found.group(1).split(', '))}: {found.group(2).strip()}")
        elif items and line.strip():
            items[-1] += " " + line.strip()
    return "\n".join(items)


def signature(function: Callable[..., Any], name: str) -> str:
    """A function's signature as a code block, one parameter a line where there are many."""
    described = inspect.signature(function)
    parameters = [each for each in described.parameters.values() if each.name != "self"]
    kept = described.replace(parameters=parameters)
    text = f"{name}{kept}"
    if len(text) > 90:
        back = str(kept.replace(parameters=[]))[1:]
        inside = str(kept.replace(return_annotation=inspect.Signature.empty))[1:-1]
        text = f"{name}(\n    " + ",\n    ".join(_split(inside)) + f",\n{back}"
    return f"```python\n{text}\n```"


def _split(arguments: str) -> list[str]:
    """Split at the commas outside brackets."""
    parts, depth, start = list[str](), 0, 0
    for at, sign in enumerate(arguments):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append(arguments[start:at].strip())
            start = at + 1
    return [*parts, arguments[start:].strip()]
