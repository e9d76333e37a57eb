"""`unbug.Table`: rows and columns as programs have them, kept as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unbug.errors import MediaError
from unbug.session.arrays import described
from unbug.session.media_kinds import Piece

__all__ = ["Table", "json_bytes"]

ROWS, COLUMNS, CELLS, CELL = 10_000, 256, 200_000, 1000
"""Of a table; `CELL` is characters."""


class Table:
    """A table: the first 10,000 rows and 256 columns are kept, up to 200,000 cells.

    Args:
        data: Data frame of pandas, table of pyarrow, list of mappings, mapping of columns, or list of rows.
        columns: Names, for a list of rows.
    Raises:
        MediaError: it is no table, or its columns have unequal lengths.
    """

    def __init__(self, data: Any, *, columns: Sequence[str] | None = None, caption: str = "") -> None:
        made, rows, wide = _columns(data, columns)
        most = CELLS // max(len(made), 1)
        cells = {str(name)[:CELL]: [_cell(value) for value in values[:most]] for name, values in made.items()}
        fields: dict[str, Any] = {"caption": caption, "rows": rows, "columns": wide}
        kept = max(map(len, cells.values()), default=0)
        if kept < rows:
            fields["kept_rows"] = kept
        if len(cells) < wide:
            fields["kept_columns"] = len(cells)
        self._piece = Piece(
            kind="table",
            suffix="json",
            encode=lambda redact: (
                json_bytes({redact(name): [_clean(one, redact) for one in of] for name, of in cells.items()}),
                {},
            ),
            size_bytes=100 * kept * len(cells),
            fields=fields,
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The one."""
        return (self._piece,)


def _columns(data: Any, names: Sequence[str] | None) -> tuple[dict[Any, list[Any]], int, int]:
    """Columns by name, cut; how many rows and columns there were."""
    hint = "give a data frame, a table of pyarrow, a list of mappings, or a mapping of columns"
    if hasattr(data, "column_names") and hasattr(data, "num_rows"):  # pyarrow
        wide = list(data.column_names)
        part = data.slice(0, ROWS)
        return (
            {name: part.column(at).to_pylist() for at, name in enumerate(wide[:COLUMNS])},
            data.num_rows,
            len(wide),
        )
    if hasattr(data, "iloc") and hasattr(data, "columns"):  # pandas
        part, (rows, wide_) = data.iloc[:ROWS, :COLUMNS], data.shape
        return {name: _of_pandas(part.iloc[:, at]) for at, name in enumerate(part.columns)}, rows, wide_
    if isinstance(data, Mapping):
        made = {name: list(values)[:ROWS] for name, values in list(data.items())[:COLUMNS]}
        lengths = {len(values) for values in data.values()}
        if len(lengths) > 1:
            raise MediaError(
                "Table",
                f"columns of {min(lengths)} to {max(lengths)} rows",
                "they have unequal lengths",
                hint,
            )
        return made, max(lengths, default=0), len(data)
    if not isinstance(data, list | tuple):
        raise MediaError("Table", described(data), "it is no table", hint)
    part = data[:ROWS]
    if names is None and all(isinstance(row, Mapping) for row in part):
        found = list(dict.fromkeys(name for row in part for name in row))
        return {name: [row.get(name) for row in part] for name in found[:COLUMNS]}, len(data), len(found)
    if names is not None and all(isinstance(row, list | tuple) and len(row) == len(names) for row in part):
        return (
            {name: [row[at] for row in part] for at, name in enumerate(names[:COLUMNS])},
            len(data),
            len(names),
        )
    raise MediaError(
        "Table", described(data), "its rows are neither mappings nor lists as long as `columns`", hint
    )


def _of_pandas(column: Any) -> list[Any]:
    """A column's values; what is missing is None, whatever pandas writes there, but NaN among numbers."""
    if getattr(column.dtype, "kind", "O") in "biuf":
        return list(column.tolist())
    missing = column.isna().tolist()
    return [None if lacks else value for value, lacks in zip(column.tolist(), missing, strict=True)]


def _cell(value: Any) -> Any:
    """As JSON has it: numbers, truth and text; anything else as its text."""
    if value is None or isinstance(value, bool | str):
        return value[:CELL] if isinstance(value, str) else value
    item = getattr(value, "item", None)
    size = getattr(value, "numel", None) or getattr(value, "size", 2)
    if callable(item) and (size() if callable(size) else size) == 1:
        value = item()
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, float):
        return (
            value
            if math.isfinite(value)
            else "NaN"
            if math.isnan(value)
            else "Infinity"
            if value > 0
            else "-Infinity"
        )
    return str(value)[:CELL]


def _clean(value: Any, redact: Callable[[str], str]) -> Any:
    return redact(value) if isinstance(value, str) else value


def json_bytes(value: Any) -> bytes:
    """The most compact JSON, in ASCII."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
