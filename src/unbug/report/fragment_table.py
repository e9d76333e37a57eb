"""A table as a piece of HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from unbug.report.card import card
from unbug.report.markup import tag
from unbug.report.words import clean, count, number

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["cell", "table_fragment", "tables_fragment"]

MOST_ROWS, MOST_COLUMNS = 20, 16


def table_fragment(table: pa.Table) -> str:
    """The first and last rows of a table, with its size."""
    rows, names = table.num_rows, table.column_names
    shown = names[:MOST_COLUMNS]
    half = MOST_ROWS // 2
    cut = rows > MOST_ROWS
    parts = [table.slice(0, half), table.slice(rows - half)] if cut else [table]
    numeric = [
        str(table.schema.field(name).type).startswith(("int", "uint", "float", "double", "half"))
        for name in shown
    ]
    body = []
    for at, part in enumerate(parts):
        if at:
            body.append(tag("tr", *(tag("td", "…", class_=None if right else "left") for right in numeric)))
        columns = [part.column(name).to_pylist() for name in shown]
        body += [
            tag(
                "tr",
                *(
                    tag("td", cell(value), class_=None if right else "left")
                    for value, right in zip(row, numeric, strict=True)
                ),
            )
            for row in zip(*columns, strict=True)
        ]
    head = tag(
        "thead",
        tag(
            "tr",
            *(
                tag("th", name, scope="col", class_=None if right else "left")
                for name, right in zip(shown, numeric, strict=True)
            ),
        ),
    )
    left_out = f"; {len(names) - len(shown)} more columns" if len(names) > len(shown) else ""
    foot = tag("p", f"{count(rows, 'row')} × {count(len(names), 'column')}{left_out}", class_="foot")
    return card(tag("div", tag("table", head, tag("tbody", *body)), class_="scroll"), foot)


def tables_fragment(columns: Mapping[str, Iterable[str]]) -> str:
    """The tables that a run has, with their columns."""
    rows = [
        tag("tr", tag("td", tag("code", name)), tag("td", ", ".join(of), class_="left"))
        for name, of in columns.items()
    ]
    head = tag(
        "thead", tag("tr", tag("th", "table", scope="col"), tag("th", "columns", scope="col", class_="left"))
    )
    return card(tag("div", tag("table", head, tag("tbody", *rows)), class_="scroll"))


def cell(value: Any) -> str:
    """A value of a table, cut to what a cell has room for."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return number(value)
    said = clean(str(value))
    return said if len(said) <= 80 else said[:79] + "…"
