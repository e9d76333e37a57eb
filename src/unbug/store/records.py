"""From plain values to Arrow columns: what fits its column's type, and NULL where it does not."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from unbug.store.schemas import SCHEMAS

__all__ = ["arrow_text", "from_records", "json_text"]


def arrow_text(value: str) -> str:
    """Text that Arrow can hold: no halves of surrogate pairs."""
    return value.encode("utf-8", "replace").decode()


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)


def _fit(value: Any, kind: pa.DataType) -> Any:
    """A field of an event in a column's type; None where it does not fit."""
    if value is None:
        return None
    try:
        if pa.types.is_string(kind):
            return arrow_text(value) if isinstance(value, str) else json_text(value)
        if pa.types.is_boolean(kind):
            return bool(value)
        if pa.types.is_integer(kind):
            return int(value)
        if pa.types.is_floating(kind):
            return float(value)
        if pa.types.is_list(kind):
            return [_fit(one, kind.value_type) for one in value]
    except (TypeError, ValueError, OverflowError):
        return None
    return value


def from_records(name: str, records: list[dict[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    columns = [[_fit(record.get(field.name), field.type) for record in records] for field in schema]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
