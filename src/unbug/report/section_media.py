"""The last pictures, sounds, texts and tables that the program logged. Nothing of them executes."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from unbug.errors import StoreError
from unbug.report.fragment_table import cell
from unbug.report.language import Language, say
from unbug.report.markup import Markup, table, tag, text
from unbug.report.words import count, number
from unbug.types import Bilingual

if TYPE_CHECKING:
    from unbug.store import MediaItem
    from unbug.store.contract import Reader

__all__ = ["media_section"]

MOST_NAMES, MOST_BATCH, MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = 12, 8, 8, 10, 1200
MOST_BYTES = 8_000_000
"""Of all media on the page; what would be more is named and not shown."""
_MAGIC = {"png": (b"\x89PNG\r\n\x1a\n", "image/png"), "wav": (b"RIFF", "audio/wav")}


def media_section(reader: Reader, language: Language = "en") -> Markup | None:
    """The last media of each name, or nothing where there are none."""
    from unbug.store import RunReader, media_items

    if not isinstance(reader, RunReader):
        return None
    every = tuple(media_items(reader))
    if not every:
        return None
    last: dict[str, list[MediaItem]] = {}
    for item in every:
        group = last.get(item.name, [])
        same = bool(group) and group[-1].time_ns == item.time_ns and group[-1].rank == item.rank
        last[item.name] = [*group, item] if same else [item]
    room = [MOST_BYTES]
    shown = [_group(name, items, every, room) for name, items in list(last.items())[-MOST_NAMES:]]
    left = len(last) - len(shown)
    return tag(
        "section",
        tag("h2", say(Bilingual("Logged media", "记录的媒体"), language)),
        *shown,
        tag("p", f"and {count(left, 'name')} more; `unbug.open(run).media()` reads all.", class_="more")
        if left
        else None,
    )


def _group(name: str, items: list[MediaItem], every: Iterable[MediaItem], room: list[int]) -> Markup:
    logged = len({(item.time_ns, item.rank) for item in every if item.name == name})
    step = f"step {items[0].step:,}" if items[0].step >= 0 else "before the first step"
    more = f", the last of {logged:,}" if logged > 1 else ""
    caption = tag("figcaption", tag("code", name), f" at {step}" if items[0].step >= 0 else f" {step}", more)
    parts: list[Markup] = []
    for item in items[:MOST_BATCH]:
        try:
            parts.append(_shown(item, room))
        except (StoreError, ValueError, KeyError, TypeError) as error:
            parts.append(tag("p", str(error), class_="more"))
    if len(items) > MOST_BATCH:
        parts.append(tag("p", f"and {len(items) - MOST_BATCH} more of the batch", class_="more"))
    return tag("figure", caption, tag("div", *parts, class_="media"))


def _shown(item: MediaItem, room: list[int]) -> Markup:
    if item.size_bytes > room[0]:
        return tag("p", f"{item.kind} of {item.size_bytes:,} bytes, too large for this page", class_="more")
    data = item.data()
    room[0] -= len(data)
    if item.suffix in _MAGIC:
        magic, kind = _MAGIC[item.suffix]
        if not data.startswith(magic):
            return tag("p", f"{item.file} is none of unbug's files", class_="more")
        source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        return _picture(item, source) if item.suffix == "png" else _sound(item, source)
    if item.kind == "table":
        return _table(item)
    if item.kind == "histogram":
        return _histogram(item)
    told = item.text()
    cut = " …" if len(told) > MOST_CHARACTERS else ""
    lines = Markup("<br>".join(text(line) for line in told[:MOST_CHARACTERS].split("\n")))
    return tag("blockquote", _caption(item), lines, cut)


def _picture(item: MediaItem, source: str) -> Markup:
    facts = item.fields
    width, height = facts.get("width"), facts.get("height")
    small = (
        item.kind == "image"
        and isinstance(width, int)
        and isinstance(height, int)
        and max(width, height) < 128
    )
    bad = facts.get("nonfinite")
    told = f"{bad:,} pixels are NaN or infinite (magenta)" if isinstance(bad, int) and bad else ""
    image = Markup(
        f'<img src="{source}" alt="{text(item.caption or item.name)}"'
        f"{' class=' + chr(34) + 'pixels' + chr(34) if small else ''}>"
    )
    return tag("div", image, _caption(item), tag("small", told) if told else None, class_="picture")


def _sound(item: MediaItem, source: str) -> Markup:
    return tag("div", Markup(f'<audio controls src="{source}"></audio>'), _caption(item), class_="picture")


def _table(item: MediaItem) -> Markup:
    columns = item.json()
    if not isinstance(columns, dict):
        raise ValueError(f"{item.name!r} is no table")
    names = list(columns)[:MOST_COLUMNS]
    rows = zip(*(columns[name][:MOST_ROWS] for name in names), strict=False)
    of = item.fields
    size = f"{count(_whole(of.get('rows')), 'row')} × {count(_whole(of.get('columns')), 'column')}"
    return tag(
        "div",
        _caption(item),
        table(names, [[cell(value) for value in row] for row in rows]),
        tag("small", size),
    )


def _histogram(item: MediaItem) -> Markup:
    made = item.json()
    counts, edges = [float(one) for one in made["counts"]], [float(one) for one in made["edges"]]
    if not counts or max(counts) <= 0:
        return tag("p", "no finite number", class_="more")
    width, height, high = 360.0, 90.0, max(counts)
    step = width / len(counts)
    bars = "".join(
        f'<rect x="{at * step:.2f}" y="{height - height * one / high:.2f}" '
        f'width="{max(step - 0.5, 0.5):.2f}" height="{height * one / high:.2f}"/>'
        for at, one in enumerate(counts)
        if one > 0
    )
    labels = (
        f'<text x="0" y="{height + 15:g}">{text(number(edges[0]))}</text>'
        f'<text x="{width:g}" y="{height + 15:g}" text-anchor="end">{text(number(edges[-1]))}</text>'
    )
    return tag(
        "div",
        _caption(item),
        Markup(
            f'<svg class="chart bars" viewBox="0 0 {width:g} {height + 20:g}" role="img" '
            f'aria-label="{text(item.name)}">{bars}{labels}</svg>'
        ),
    )


def _caption(item: MediaItem) -> Markup | None:
    return tag("p", item.caption) if item.caption else None


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
