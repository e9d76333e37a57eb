"""What the program set and saved by other libraries, as records of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["checkpoint_records", "hyperparameter_records"]


def hyperparameter_records(fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A record for each key of an event of kind `hyperparameters`."""
    values, changed = fields.get("values"), fields.get("changed")
    if not isinstance(values, Mapping):
        return
    names = None if not isinstance(changed, list) else set(map(str, changed))
    for key, value in values.items():
        yield {
            "origin": fields.get("origin"),
            "name": fields.get("name"),
            "key": key,
            "value": _text(value),
            "number": _number(value),
            "changed": None if names is None else key in names,
            "file": fields.get("file"),
            "line": fields.get("line"),
        }


def checkpoint_records(fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The record of an event of kind `checkpoint`; columns are not called as SQL's own words."""
    yield {**fields, "library": fields.get("by"), "target": fields.get("into")}


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None or isinstance(value, str) else str(value)


def _number(value: Any) -> float | None:
    """A number, also where a library keeps it as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
