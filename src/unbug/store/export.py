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

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ExportFormat", "export_table"]

ExportFormat = Literal["csv", "json", "parquet"]


def export_table(table: pa.Table, path: Path, *, format: ExportFormat = "parquet") -> int:
    """Write a table to a file, which is replaced only when the new one is whole.

    Args:
        format: `csv` (lists as JSON text), `json` (an array with one object a row; NaN and infinities as
            text, times in ISO 8601), or `parquet`.
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


def _csv(table: pa.Table, path: Path) -> None:
    import pyarrow.csv

    for at, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [None if one is None else json.dumps(one) for one in table.column(at).to_pylist()]
            table = table.set_column(at, field.name, pa.array(texts, pa.string()))
    pyarrow.csv.write_csv(table, str(path))


def _parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, str(path), compression="zstd")


def _json(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write("[")
        for number, record in enumerate(_records(table)):
            out.write(",\n" if number else "\n")
            out.write(json.dumps(record, allow_nan=False))
        out.write("\n]\n")


def _records(table: pa.Table) -> Iterator[dict[str, Any]]:
    columns = []
    for column, field in zip(table.columns, table.schema, strict=True):
        if pa.types.is_timestamp(field.type):
            column = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
        columns.append(column)
    names = table.schema.names
    for batch in pa.table(columns, names=names).to_batches(max_chunksize=10_000):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield {name: _plain(value) for name, value in zip(names, values, strict=True)}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {"csv": _csv, "json": _json, "parquet": _parquet}
