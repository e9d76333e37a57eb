"""HTML from parts, everything escaped: text goes through `text`, structure through `tag`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from unbug.report.language import Language, say
from unbug.report.words import clean, number
from unbug.types import Bilingual

__all__ = ["TAGS", "Markup", "pairs", "said", "table", "tag", "text"]


TAGS: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
"""What HTML calls the languages."""
_DEEPEST = 20
_YES, _NO = Bilingual("yes", "是"), Bilingual("no", "否")


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


def said(value: Any, depth: int = 0, *, language: Language = "en") -> str:
    """A value of a run's facts in words."""
    if depth > _DEEPEST:
        return "…"
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return say(_YES if value else _NO, language)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Mapping):
        return (
            ", ".join(f"{key} {said(inner, depth + 1, language=language)}" for key, inner in value.items())
            or "–"
        )
    if isinstance(value, list | tuple):
        more = len(value) - 60
        shown = ", ".join(said(inner, depth + 1, language=language) for inner in value[:60])
        return (
            shown
            + (say(Bilingual(f" and {more} more", f" 等，另有 {more} 个"), language) if more > 0 else "")
        ) or "–"
    return str(value)
