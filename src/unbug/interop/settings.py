"""Hyperparameters: what the program was set to, as one event for each time that it said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unbug.hooks import Frame
from unbug.interop.flat import MOST_KEYS, defaults_of, flat

__all__ = ["Hyperparameters"]

MOST_EVENTS = 50
"""Of one origin; a program that sets one value at a time is told once more when the run ends."""


class Hyperparameters:
    """Writes them, each set once.

    Args:
        event: Writes an event of kind `hyperparameters`; redacts it.
    """

    def __init__(self, event: Callable[[Mapping[str, Any]], None]) -> None:
        self._event = event
        self._last: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._events: dict[str, int] = {}
        self._waiting: dict[tuple[str, str], Mapping[str, Any]] = {}

    def add(
        self,
        origin: str,
        given: Any,
        *,
        name: str,
        defaults: Mapping[str, Any] | None,
        adds: bool,
        frame: Frame | None,
    ) -> None:
        """The program was set to this. What is known already is not written again."""
        found = flat(given)
        values = dict(found.values)
        known = self._last.get((origin, name))
        if adds and known is not None:
            values = dict(list({**known, **values}.items())[:MOST_KEYS])
        if not values or values == known:
            return
        self._last[origin, name] = values
        usual = defaults_of(given) if defaults is None else flat(defaults).values
        fields = {
            "origin": origin,
            "name": name,
            "values": values,
            "changed": None if usual is None else _changed(values, usual),
            "left_out": found.left_out,
            "file": None if frame is None else frame.file,
            "line": None if frame is None else frame.line,
        }
        self._events[origin] = self._events.get(origin, 0) + 1
        if self._events[origin] <= MOST_EVENTS:
            self._event(fields)
        else:
            self._waiting[origin, name] = fields

    def close(self) -> None:
        """Write what waited."""
        waiting, self._waiting = self._waiting, {}
        for fields in waiting.values():
            self._event(fields)


def _changed(values: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """Keys whose value is not the default. A parser may give the default as text: `"0.1"` is 0.1."""
    return [key for key, value in values.items() if key not in usual or str(usual[key]) != str(value)]
