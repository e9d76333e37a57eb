"""`unbug sql RUN "select …"`: query the tables of a run, read-only."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.cli.lean import without_pandas
from unbug.cli.limits import limit_memory
from unbug.cli.opened import opened
from unbug.cli.options import add_directory, add_json, add_run, find
from unbug.cli.style import terminal_width, wants_color
from unbug.cli.table import Column, render_table
from unbug.errors import QueryError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arguments", "run"]

MEMORY_BYTES = 3 << 30
"""What a query may take beyond what the command has: DuckDB keeps to 1 GB where it counts."""

_EPILOG = """\
  unbug sql @last --tables           what there is, and what each column means
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
    parser.add_argument(
        "--all-attempts", action="store_true", help="with the rows of steps that a later attempt did again"
    )
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
    if options.rows < 1:
        raise UsageError(f"`--rows` takes a number from 1, not {options.rows}")
    if not options.timeout > 0:
        raise UsageError(f"`--timeout` takes seconds above 0, not {options.timeout:g}")
    path = find(options)
    without_pandas()
    if options.tables:
        _print(_columns(path), options)
        return 0
    result = _asked(path, sys.stdin.read() if options.query == "-" else options.query, options)
    _print(result, options)
    if result.num_rows >= options.rows:
        print(f"unbug: only the first {options.rows:,} rows; ask for more with `--rows`", file=sys.stderr)
    return 0


def _asked(path: Path, text: str, options: argparse.Namespace) -> pa.Table:
    """The answer. A query that will not stop when told to ends with this process."""
    from unbug.store import is_asking, query

    limit_memory(MEMORY_BYTES)
    with opened(path) as reader:
        try:
            return query(
                reader,
                text,
                rows=options.rows,
                timeout_s=options.timeout,
                all_attempts=options.all_attempts,
            )
        except (QueryError, KeyboardInterrupt) as error:
            if not is_asking():
                raise
            if isinstance(error, QueryError):
                print(f"unbug: {error}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(error.exit_code if isinstance(error, QueryError) else 130)


def _columns(path: Path) -> pa.Table:
    """Every table's columns, as a query sees them."""
    import pyarrow as pa

    from unbug.store import column_meaning, open_reader, sql_type, tables

    reader = open_reader(path)
    try:
        made = tables(reader)
        rows = [
            {
                "table": name,
                "column": field.name,
                "type": sql_type(field.type),
                "meaning": column_meaning(name, field.name),
            }
            for name in made
            for field in made.schema(name)
        ]
    finally:
        reader.close()
    return pa.Table.from_pylist(rows)


def _print(result: pa.Table, options: argparse.Namespace) -> None:
    from unbug.store import dated

    if any(str(kind).startswith("timestamp[ns") for kind in result.schema.types):
        result = dated(result)
    names = result.column_names
    if options.json:
        print(
            json.dumps(
                [{key: _plain(item) for key, item in row.items()} for row in result.to_pylist()], indent=1
            )
        )
        return
    from unbug.store import csv_text

    columns = [column.to_pylist() for column in result.columns]
    rows = list(zip(*columns, strict=True)) if columns else []
    if options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([csv_text(name) for name in names])
        writer.writerows([_csv_cell(item) for item in row] for row in rows)
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


def _csv_cell(item: Any) -> Any:
    """A value as CSV has it: lists and structures as text, text so that it does no harm."""
    from unbug.store import csv_text

    if item is None:
        return ""
    if isinstance(item, bool | int | float):
        return item
    if isinstance(item, list | tuple | dict):
        return csv_text(json.dumps(_plain(item)))
    return csv_text(item.hex() if isinstance(item, bytes) else str(item))


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
