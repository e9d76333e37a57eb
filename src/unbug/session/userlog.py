"""`run.log`: the program's own numbers. The call is the hot path; it builds one row and no more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from unbug.errors import UsageError, ValueNotLoggableError
from unbug.types import Place, Series

if TYPE_CHECKING:
    from unbug.session.media_kinds import Piece
    from unbug.session.medialog import MediaLog
    from unbug.session.observer import Observer
    from unbug.store import Writer

__all__ = ["UserLog"]

MOST_OF_BATCH = 16
MAX_SHAPES = 256
"""Sets of names that are kept as groups of their own; a program that logs random subsets has more."""
_PLACE = Place(path="loop", kind="loop")
_FLOAT = frozenset({float})


class UserLog:
    """Turns `{"val/accuracy": 0.9}` into rows of origin `user`.

    Args:
        observer: Knows training, step, micro and phase at the moment of a call.
        media: Where pictures and the like go; without it there are numbers only.
    """

    def __init__(self, writer: Writer, observer: Observer, media: MediaLog | None = None) -> None:
        self._media = media
        self._row, self._group = writer.row, writer.group
        self._observer = observer
        self._shapes: dict[tuple[str, ...], int] = {}
        self._singles: dict[str, int] = {}

    def log(self, values: Mapping[str, Any], step: float | None = None) -> None:
        """Write the values, all of them or none.

        Raises:
            ValueNotLoggableError: one of them is no single number and no media.
            MediaError: a picture or the like cannot be made of one.
            UsageError: the names are no texts, or `step` is no number.
        """
        t_ns = monotonic_ns()
        names = tuple(values)
        numbers = list(values.values())
        if not _FLOAT.issuperset(map(type, numbers)):
            try:
                numbers = [
                    number if type(number) is float else _number(name, number)
                    for name, number in zip(names, numbers, strict=True)
                ]
            except ValueNotLoggableError:
                names, numbers = self._take_media(values, step, t_ns)
                if not names:
                    return
        if step is not None and type(step) is not int:
            step = _number("step", step)
        group = self._shapes.get(names)
        training, at, micro, phase = self._observer.position()
        if group is None:
            group = self._declare(names)
            if group is None:
                for name, number in zip(names, numbers, strict=True):
                    self._row(
                        self._singles[name], [number], t_ns=t_ns, training=training, step=at, micro=micro,
                        phase=phase, user_step=step,
                    )  # fmt: skip
                return
        self._row(
            group, numbers, t_ns=t_ns, training=training, step=at, micro=micro, phase=phase, user_step=step
        )

    def _take_media(
        self, values: Mapping[str, Any], step: float | None, t_ns: int
    ) -> tuple[tuple[str, ...], list[float]]:
        """Keep what is no number but media; returns the names and numbers that are left."""
        from unbug.session.medialog import as_media

        numbers: dict[str, float] = {}
        found: list[tuple[str, list[Piece]]] = []
        for name, value in values.items():
            media = as_media(value) if isinstance(name, str) and self._media is not None else None
            if media is None:
                numbers[name] = _number(name, value)
            else:
                pieces = [piece for one in media for piece in one.pieces]
                found.append((name, _numbered(pieces) if len(media) > 1 else pieces))
        user_step = None if step is None else _number("step", step)
        where = self._observer.position()
        for name, pieces in found:
            if self._media is not None:
                self._media.put(name, pieces, t_ns=t_ns, where=where, user_step=user_step)
        return tuple(numbers), list(numbers.values())

    def _declare(self, names: tuple[str, ...]) -> int | None:
        """The group of these names; None where each is written by itself."""
        for name in names:
            if not isinstance(name, str):
                raise UsageError(f"cannot log under {name!r}: a name is text, this is {type(name).__name__}")
        if not names:
            raise UsageError(
                "nothing to log: `run.log` takes a mapping of names to numbers, this one is empty"
            )
        if len(self._shapes) < MAX_SHAPES and len(names) > 1:
            group = self._group([Series(name=name, place=_PLACE, origin="user") for name in names])
            self._shapes[names] = group
            return group
        for name in names:
            if name not in self._singles:
                self._singles[name] = self._group([Series(name=name, place=_PLACE, origin="user")])
        if len(names) == 1:
            self._shapes[names] = self._singles[names[0]]
            return self._singles[names[0]]
        return None


def _numbered(pieces: list[Piece]) -> list[Piece]:
    """A list of media is a batch, as an array with a first axis is; as many of it are kept."""
    return [
        replace(piece, fields={**piece.fields, "index": index, "of": len(pieces)})
        for index, piece in enumerate(pieces[:MOST_OF_BATCH])
    ]


def _number(name: str, given: Any) -> float:
    """A value as the one number it is: Python's, numpy's, or an array or tensor with one element."""
    kind = type(given)
    if kind is int or kind is bool or isinstance(given, float):
        try:
            return float(given)
        except OverflowError:
            return math.inf if given > 0 else -math.inf
    size = getattr(given, "numel", None)  # torch; `size` of numpy is a number, of torch a method
    elements = size() if callable(size) else getattr(given, "size", None)
    if elements != 1 and not (elements is None and hasattr(given, "__float__")):
        raise ValueNotLoggableError(name, given)
    if isinstance(given, str | bytes | complex):
        raise ValueNotLoggableError(name, given)
    try:
        return float(given.detach().item() if callable(size) else given.item() if elements == 1 else given)
    except (TypeError, ValueError, RuntimeError, AttributeError):
        raise ValueNotLoggableError(name, given) from None
