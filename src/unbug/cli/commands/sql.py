"""`unbug sql RUN "select …"`: query the tables of a run, read-only."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from typing import TYPE_CHECKING, Any

from unbug.cli.options import add_directory, add_json, add_run, find
from unbug.cli.style import terminal_width, wants_color
from unbug.cli.table import Column, render_table
from unbug.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arguments", "run"]

_EPILOG = """\
  unbug sql @last --tables
  unbug sql @last "select step, value from scalars where name = 'loss.value' order by step"
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument(
        "query", metavar="SQL", nargs="?", help="a query in DuckDB's SQL; - reads it from stdin"
    )
    parser.add_argument("--tables", action="store_true", help="list the tables and their columns")
    parser.add_argument(
        "--rows", metavar="N", type=int, default=100_000, help="at most N rows (default: 100,000)"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=60.0, help="give up after (default: 60)"
    )
    parser.add_argument("--csv", action="store_true", help="print CSV")
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print what the query gives."""
    if not options.tables and not options.query:
        raise UsageError(
            'no query given; `unbug sql RUN "select …"`, or `unbug sql RUN --tables` for what there is'
        )
    if options.json and options.csv:
        raise UsageError("cannot print both JSON and CSV; give one of `--json`, `--csv`")
    path = find(options)
    from unbug.store import open_reader, query, tables

    reader = open_reader(path)
    try:
        if options.tables:
            result = _columns_of(tables(reader))
        else:
            text = sys.stdin.read() if options.query == "-" else options.query
            result = query(reader, text, rows=options.rows, timeout_s=options.timeout)
    finally:
        reader.close()
    _print(result, options)
    if not options.tables and result.num_rows >= options.rows:
        print(f"unbug: only the first {options.rows:,} rows; ask for more with `--rows`", file=sys.stderr)
    return 0


def _columns_of(found: Any) -> pa.Table:
    import pyarrow as pa

    rows = [
        {"table": name, "column": field.name, "type": str(field.type)}
        for name in found
        for field in found[name].schema
    ]
    return pa.Table.from_pylist(rows)


def _print(result: pa.Table, options: argparse.Namespace) -> None:
    names = result.column_names
    if options.json:
        print(
            json.dumps(
                [{key: _plain(item) for key, item in row.items()} for row in result.to_pylist()], indent=1
            )
        )
        return
    columns = [column.to_pylist() for column in result.columns]
    rows = list(zip(*columns, strict=True)) if columns else []
    if options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(["" if item is None else item for item in row] for row in rows)
        return
    width = terminal_width() if sys.stdout.isatty() else None
    numeric = [_is_number(field.type) for field in result.schema]
    shown = [
        Column(title=name, right=right, gives_way=not right)
        for name, right in zip(names, numeric, strict=True)
    ]
    print(
        render_table(shown, [[_cell(item) for item in row] for row in rows], width=width, color=wants_color())
    )


def _is_number(kind: pa.DataType) -> bool:
    return str(kind).startswith(("int", "uint", "float", "double", "halffloat", "decimal"))


def _cell(item: Any) -> str:
    if item is None:
        return "-"
    return f"{item:.7g}" if isinstance(item, float) else str(item)


def _plain(item: Any) -> Any:
    """A value that JSON has; what is not finite as text."""
    if isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):
        return str(item)
    if item is None or isinstance(item, bool | int | float | str):
        return item
    if isinstance(item, list | tuple):
        return [_plain(one) for one in item]
    if isinstance(item, dict):
        return {str(key): _plain(one) for key, one in item.items()}
    return item.hex() if isinstance(item, bytes) else str(item)
