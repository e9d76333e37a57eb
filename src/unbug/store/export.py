"""A table as a file that others read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from unbug.errors import StoreError, UsageError
from unbug.store.plaincsv import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ExportFormat", "csv_ready", "dated", "export_table", "json_records"]

ExportFormat = Literal["csv", "json", "parquet"]


def export_table(table: pa.Table, path: Path, *, format: ExportFormat = "parquet") -> int:
    """Write a table to a file, which is replaced only when the new one is whole.

    Args:
        format: `csv` (lists as JSON text; control characters as escapes, and an apostrophe before text that
            a spreadsheet would take for a formula), `json` (an array with one object a row; NaN and
            infinities as text, times in ISO 8601), or `parquet`.
    Returns:
        The size of the file in bytes.
    Raises:
        UsageError: there is no such format.
        StoreError: the file cannot be written.
    """
    if format not in _WRITERS:
        raise UsageError(f"cannot export as {format!r}; there is {', '.join(get_args(ExportFormat))}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            _WRITERS[format](table, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path.stat().st_size
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def csv_ready(table: pa.Table) -> pa.Table:
    """The table as CSV can hold it: lists as JSON text, text so that it does no harm (see `plaincsv`)."""
    for at, field in enumerate(table.schema):
        column, kind = table.column(at), field.type
        if pa.types.is_nested(kind):
            texts = [None if one is None else csv_text(json.dumps(one)) for one in column.to_pylist()]
        elif pa.types.is_dictionary(kind):
            parts = [
                pa.DictionaryArray.from_arrays(part.indices, _harmless(part.dictionary))
                for part in column.chunks
            ]
            table = table.set_column(at, csv_text(field.name), pa.chunked_array(parts, kind))
            continue
        elif pa.types.is_string(kind):
            texts = [None if one is None else csv_text(one) for one in column.to_pylist()]
        elif pa.types.is_binary(kind):
            texts = [None if one is None else one.hex() for one in column.to_pylist()]
        else:
            continue
        table = table.set_column(at, csv_text(field.name), pa.array(texts, pa.string()))
    return table


def _harmless(texts: pa.Array) -> pa.Array:
    return pa.array([None if one is None else csv_text(one) for one in texts.to_pylist()], texts.type)


def _csv(table: pa.Table, path: Path) -> None:
    import pyarrow.csv

    pyarrow.csv.write_csv(csv_ready(table), str(path))


def _parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, str(path), compression="zstd")


def _json(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write("[")
        for number, record in enumerate(json_records(table)):
            out.write(",\n" if number else "\n")
            out.write(json.dumps(record, allow_nan=False))
        out.write("\n]\n")


def dated(table: pa.Table) -> pa.Table:
    """The table with times as text (ISO 8601, UTC): Python's have no nanoseconds."""
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            text = pc.strftime(table.column(at), "%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(at, field.name, text)
    return table


def json_records(table: pa.Table) -> Iterator[dict[str, Any]]:
    """One record a row, of what JSON has: times as text (ISO 8601, UTC), NaN and infinities as text."""
    table = dated(table)
    names = table.schema.names
    for batch in table.to_batches(max_chunksize=10_000):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield {name: _plain(value) for name, value in zip(names, values, strict=True)}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {"csv": _csv, "json": _json, "parquet": _parquet}
