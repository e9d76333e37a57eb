"""HTML from parts, everything escaped: text goes through `text`, structure through `tag`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from unbug.report.words import clean, number

__all__ = ["Markup", "pairs", "said", "table", "tag", "text"]


_DEEPEST = 20


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Any value as text of a page: escaped, and free of control and direction characters."""
    return Markup(escape(clean(str(value)), quote=True))


def tag(name: str, *inside: object, **attributes: str | int | None) -> Markup:
    """An element. What is inside is escaped unless it is `Markup`; attributes are written without a trailing
    `_`."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = "".join(part if isinstance(part, Markup) else text(part) for part in inside if part is not None)
    return Markup(f"<{name}{written}>{content}</{name}>")


def pairs(facts: Mapping[str, Any], *, class_: str = "pairs") -> Markup:
    """A list of names and values; nothing if there are none."""
    if not facts:
        return Markup("")
    rows = Markup("".join(tag("dt", key) + tag("dd", said(value)) for key, value in facts.items()))
    return tag("dl", rows, class_=class_)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, classes: Sequence[str] = ()) -> Markup:
    """A table in a box that scrolls on narrow screens. `classes` are those of the rows."""
    made = list(rows)
    styles = [*classes, *[""] * (len(made) - len(classes))]
    body = Markup(
        "".join(
            tag("tr", *(tag("td", cell) for cell in row), class_=style or None)
            for row, style in zip(made, styles, strict=False)
        )
    )
    top = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head)))
    return tag("div", tag("table", top, tag("tbody", body)), class_="scroll")


def said(value: Any, depth: int = 0) -> str:
    """A value of a run's facts in words."""
    if depth > _DEEPEST:
        return "…"
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {said(inner, depth + 1)}" for key, inner in value.items()) or "–"
    if isinstance(value, list | tuple):
        shown = ", ".join(said(inner, depth + 1) for inner in value[:60])
        return (shown + (f" and {len(value) - 60} more" if len(value) > 60 else "")) or "–"
    return str(value)
