"""A writer that keeps what it is given, for tests in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unbug.interop import Interop
from unbug.types import Series


class Collected:
    """Rows as (origin, name, value, user step), and events by kind."""

    def __init__(self) -> None:
        self.groups: list[tuple[Series, ...]] = []
        self.rows: list[tuple[str, str, float, float | None]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[tuple[str, BaseException]] = []

    def group(self, series: Sequence[Series], *, kind: str = "scalar") -> int:
        key = tuple(series)
        if key not in self.groups:
            self.groups.append(key)
        return self.groups.index(key)

    def row(self, group: int, values: Sequence[float], *, user_step: float | None = None, **_: Any) -> None:
        for series, value in zip(self.groups[group], values, strict=True):
            self.rows.append((series.origin, series.name, value, user_step))

    def event(self, kind: str, fields: Mapping[str, Any], **_: Any) -> None:
        self.told.append((kind, dict(fields)))

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.told if name == kind]

    def watching(self) -> Interop:
        return Interop(self, lambda: (0, 1, 0, 0), lambda *fault: self.faults.append(fault))  # type: ignore[arg-type]
