"""`unbug export RUN TABLE`: a table as csv, parquet or json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from unbug.cli.lean import without_pandas
from unbug.cli.opened import opened
from unbug.cli.options import add_directory, add_run, find
from unbug.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arguments", "run"]

_FORMATS = ("csv", "parquet", "json")


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
    parser.add_argument(
        "--all-attempts", action="store_true", help="with the rows of steps that a later attempt did again"
    )
    parser.add_argument("-o", "--output", metavar="PATH", help="file, or folder for all tables; - for stdout")
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Write the table, or each one of them into a folder."""
    path = find(options)
    without_pandas()
    from unbug.cli.progress import progress
    from unbug.store import tables

    form = options.format or _format_of(options.output) or "csv"
    with opened(path) as reader:
        found = tables(reader, all_attempts=options.all_attempts)
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
        import pyarrow.csv

        from unbug.store import csv_ready

        pyarrow.csv.write_csv(csv_ready(table), file)
    else:
        import json

        from unbug.store import json_records

        for record in json_records(table):
            file.write(json.dumps(record).encode() + b"\n")
