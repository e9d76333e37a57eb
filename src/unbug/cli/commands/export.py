"""`unbug export RUN TABLE`: a table as csv, parquet or json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from unbug.cli.options import add_directory, add_run, find
from unbug.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arguments", "run"]

_FORMATS = ("csv", "parquet", "json")
_ROWS_AT_ONCE = 50_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument(
        "table", metavar="TABLE", nargs="?", help="one table (default: all); see `unbug sql RUN --tables`"
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        choices=_FORMATS,
        help="csv (the default), parquet or json (a line a row)",
    )
    parser.add_argument("-o", "--output", metavar="PATH", help="file, or folder for all tables; - for stdout")
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Write the table, or each one of them into a folder."""
    path = find(options)
    from unbug.cli.progress import progress
    from unbug.store import open_reader, tables

    form = options.format or _format_of(options.output) or "csv"
    reader = open_reader(path)
    try:
        found = tables(reader)
        if options.table is not None:
            if options.table not in found:
                raise UsageError(
                    f"run {path.name!r} has no table {options.table!r}, only {', '.join(sorted(found))}"
                )
            _write_one(found[options.table], form, options.output)
            return 0
        folder = Path(options.output or f"{path.resolve().name}-{form}")
        if options.output == "-":
            raise UsageError("several tables cannot go to stdout; name one, or give a folder with `-o`")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write to {folder}: {error.strerror}; choose another place with `-o`"
            ) from None
        with progress("exporting", len(found)) as advance:
            for name in found:
                _write_one(found[name], form, str(folder / f"{name}.{form}"))
                advance()
        print(folder)
    finally:
        reader.close()
    return 0


def _format_of(output: str | None) -> str | None:
    ending = Path(output).suffix[1:] if output else ""
    return ending if ending in _FORMATS else None


def _write_one(table: pa.Table, form: str, output: str | None) -> None:
    if output in (None, "-"):
        if form == "parquet" and sys.stdout.isatty():
            raise UsageError("parquet is not for a terminal; give a file with `-o`")
        _write(table, form, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    try:
        with Path(str(output)).open("wb") as file:
            _write(table, form, file)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise UsageError(f"cannot write {output}: {error.strerror}; choose another file with `-o`") from None


def _write(table: pa.Table, form: str, file: BinaryIO) -> None:
    if form == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, file, compression="zstd")
    elif form == "csv":
        _write_csv(table, file)
    else:
        import json

        from unbug.cli.commands.sql import _plain

        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            lines = (
                json.dumps({key: _plain(item) for key, item in row.items()}) for row in batch.to_pylist()
            )
            file.write("".join(f"{line}\n" for line in lines).encode())


def _write_csv(table: pa.Table, file: BinaryIO) -> None:
    """Nested columns as text: csv has no lists."""
    import pyarrow as pa
    import pyarrow.csv as csv

    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            text = pa.array(
                [None if item is None else str(item) for item in table.column(index).to_pylist()], pa.string()
            )
            table = table.set_column(index, field.name, text)
    csv.write_csv(table, file)
