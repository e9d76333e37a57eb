"""A plain table: aligned columns, no lines, one of them giving way where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unbug.cli.style import clip, pad, paint, visible_width

__all__ = ["Column", "render_table"]

_GAP = "  "
_ENOUGH, _LEAST = 24, 8
"""Width down to which a column gives way before others are dropped, and after."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table.

    Args:
        right: Numbers stand to the right.
        gives_way: It is cut first where the table is wider than the terminal.
        drop: Left out in a table that is too wide even so; higher ones go first, 0 never.
        style: Of the cells, e.g. `dim`.
    """

    title: str
    right: bool = False
    gives_way: bool = False
    drop: int = 0
    style: str = ""


def render_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    color: bool = False,
    styles: Sequence[Sequence[str]] | None = None,
) -> str:
    """Lines of the table, each without blanks at its end.

    Args:
        width: Columns there are; None where nothing is to be cut (a file, a pipe).
        styles: For each row, a style for each cell that overrides the column's; empty keeps it.
    """
    cells = [[clip(cell, 10_000) for cell in row] for row in rows]
    widths = [
        max([visible_width(column.title), *(visible_width(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    shown = _fit(columns, widths, width)
    lines = [
        _line([paint(_cell(columns[at].title, widths[at], columns[at]), "dim", color=color) for at in shown])
    ]
    for number, row in enumerate(cells):
        parts = []
        for at in shown:
            style = (styles[number][at] if styles else "") or columns[at].style
            parts.append(paint(_cell(row[at], widths[at], columns[at]), style, color=color))
        lines.append(_line(parts))
    return "\n".join(lines)


def _fit(columns: Sequence[Column], widths: list[int], width: int | None) -> list[int]:
    """Which columns are shown; shrinks `widths` where need be."""
    shown = list(range(len(columns)))
    if width is None:
        return shown

    def over() -> int:
        return sum(widths[at] for at in shown) + len(_GAP) * (len(shown) - 1) - width

    giving = [at for at in shown if columns[at].gives_way]
    for at in sorted((at for at in shown if columns[at].drop), key=lambda at: -columns[at].drop):
        if over() > sum(max(widths[at] - _ENOUGH, 0) for at in giving):
            shown.remove(at)
    for least in (_ENOUGH, _LEAST):
        for at in giving:
            widths[at] = max(widths[at] - max(over(), 0), min(widths[at], least))
    return shown


def _cell(text: str, width: int, column: Column) -> str:
    return pad(clip(text, width), width, right=column.right)


def _line(parts: Sequence[str]) -> str:
    return _GAP.join(parts).rstrip()
