"""Numbers logged by other libraries, as series of their own origin. The call is the hot path."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, cast

from unbug.hooks import is_tensor, tensor_number
from unbug.types import Origin, Place, Series

if TYPE_CHECKING:
    from unbug.store import Writer

__all__ = ["Numbers", "number_of"]

MAX_SHAPES, MAX_SERIES = 256, 5_000
"""Sets of names that are kept as groups of their own; names of an origin. A program may log random ones."""
_PLACE = Place(path="loop", kind="loop")
_FLOAT = frozenset({float})


class Numbers:
    """Turns what is logged into rows.

    Args:
        position: Training, step, micro and phase now.
        other: Told of each value that is no single number: origin, name, value, the program's step.
    """

    def __init__(
        self,
        writer: Writer,
        position: Callable[[], tuple[int, int, int, int]],
        other: Callable[[str, str, Any, Any], None],
    ) -> None:
        self._row, self._group = writer.row, writer.group
        self._position, self._other = position, other
        self._known: dict[str, dict[str, int]] = {}
        self._shapes: dict[tuple[str, tuple[str, ...]], int] = {}
        self.dropped = 0
        self.unread = 0

    def of(self, origin: str) -> Callable[[str, Any, Any], None]:
        """The call that takes one value of an origin, with name and the program's own step; the library has
        read it already. All that it needs is at hand: it is called in the training step."""
        known: dict[str, int] = self._known.setdefault(origin, {})
        row, position, now = self._row, self._position, monotonic_ns

        def one(name: str, value: Any, user_step: Any) -> None:
            if type(value) is not float:
                found = number_of(value, read=True)
                if found is None:
                    self._other(origin, name, value, user_step)
                    return
                value = found
            if user_step is not None and type(user_step) is not int:
                user_step = number_of(user_step, read=True)
            group = known.get(name)
            if group is None:
                group = self._single(origin, name)
                if group is None:
                    return
            training, step, micro, phase = position()
            row(
                group, [value], t_ns=now(), training=training, step=step, micro=micro, phase=phase,
                user_step=user_step,
            )  # fmt: skip

        return one

    def many(self, origin: str, values: Mapping[Any, Any], user_step: Any, *, read: bool) -> None:
        """Several at once; nested mappings are flattened, what is no number goes to `other`."""
        t_ns = monotonic_ns()
        if user_step is not None and type(user_step) is not int:
            user_step = number_of(user_step, read=read)
        names, numbers = tuple(values), list(values.values())
        if not _FLOAT.issuperset(map(type, numbers)):
            names, numbers = self._converted(origin, values, user_step, read=read)
        if not names:
            return
        group = self._shapes.get((origin, names))
        if group is None:
            group = self._declare(origin, names)
        training, step, micro, phase = self._position()
        rows = [(group, numbers)] if group is not None else self._apart(origin, names, numbers)
        for one, held in rows:
            self._row(
                one, held, t_ns=t_ns, training=training, step=step, micro=micro, phase=phase,
                user_step=user_step,
            )  # fmt: skip

    def _converted(
        self, origin: str, values: Mapping[Any, Any], user_step: Any, *, read: bool
    ) -> tuple[tuple[str, ...], list[float]]:
        found: dict[str, float] = {}
        for name, value in _flattened("", values, 0):
            number = value if type(value) is float else number_of(value, read=read)
            if number is not None:
                found[name] = number
            elif is_tensor(value) and not read:
                self.unread += 1
            elif value is not None:
                self._other(origin, name, value, user_step)
        return tuple(found), list(found.values())

    def _single(self, origin: str, name: str) -> int | None:
        known = self._known.setdefault(origin, {})
        if not isinstance(name, str):
            name = str(name) if isinstance(name, (int, float, bool)) else f"<{type(name).__qualname__}>"
        group = known.get(name)
        if group is None:
            if len(known) >= MAX_SERIES:
                self.dropped += 1
                return None
            group = known[name] = self._group([_series(origin, name)])
        return group

    def _declare(self, origin: str, names: tuple[str, ...]) -> int | None:
        """The group of these names; None where each is written by itself."""
        if len(names) == 1:
            group = self._single(origin, names[0])
        elif len(self._shapes) >= MAX_SHAPES or not all(type(name) is str for name in names):
            return None
        else:
            group = self._group([_series(origin, name) for name in names])
        if group is not None and len(self._shapes) < MAX_SHAPES:
            self._shapes[origin, names] = group
        return group

    def _apart(
        self, origin: str, names: tuple[str, ...], numbers: list[float]
    ) -> list[tuple[int, list[float]]]:
        pairs = ((self._single(origin, name), value) for name, value in zip(names, numbers, strict=True))
        return [(group, [value]) for group, value in pairs if group is not None]


def _series(origin: str, name: str) -> Series:
    return Series(name=name, place=_PLACE, origin=cast(Origin, origin))


def _flattened(prefix: str, values: Mapping[Any, Any], depth: int) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        key = (
            f"{prefix}.{name}" if prefix else str(name) if isinstance(name, (str, int)) else repr(type(name))
        )
        if isinstance(value, dict) and depth < 8:
            found += _flattened(key, value, depth + 1)
        else:
            found.append((key, value))
    return found


def number_of(value: Any, *, read: bool) -> float | None:
    """A value as the one number it is: Python's, numpy's, or an array or tensor with one element; else None.

    Args:
        read: What lies on a device may be fetched.
    """
    kind = type(value)
    if kind is float:
        return cast(float, value)
    if kind is int or kind is bool:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, (float, int)):
        return float(value)
    if is_tensor(value):
        return tensor_number(value, read=read)
    if kind.__module__.partition(".")[0] == "numpy" and getattr(value, "size", 0) == 1:
        try:
            return None if value.dtype.kind in "cSUOMmV" else float(value.item())
        except (TypeError, ValueError):
            return None
    return None
