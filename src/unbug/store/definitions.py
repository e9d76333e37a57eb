"""Definitions: which series a group holds, at which places. Written once a writer, in a log of their own.

A group is a template (kind, names, units …) and the number of its place, so that a hundred thousand
parameters with the same nine statistics cost a hundred thousand short lines and not a hundred thousand lists
of names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from unbug.store.contract import GroupKind
from unbug.store.frames import FormatError, FrameKind, frame
from unbug.types import Origin, Place, PlaceKind, Series

__all__ = ["Definitions", "Encoder", "GroupInfo"]

_SQUEEZE_ABOVE = 512


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group as a reader sees it."""

    number: int
    kind: GroupKind
    series: tuple[Series, ...]

    @property
    def width(self) -> int:
        """Values in a row; 0 for blobs."""
        return 0 if self.kind == "blob" else len(self.series)


def _place_fields(place: Place) -> dict[str, Any]:
    fields: dict[str, Any] = {"path": place.path, "kind": place.kind}
    for name, default in (("training", -1), ("class_name", ""), ("shape", ()), ("dtype", ""),
                          ("source", None), ("parent", None), ("aliases", ()), ("order", -1)):  # fmt: skip
        value = getattr(place, name)
        if value != default:
            fields[name] = value
    return fields


class Encoder:
    """Numbers groups, templates and places as they first appear, and says what is new."""

    def __init__(self) -> None:
        self._places: dict[Place, int] = {}
        self._templates: dict[tuple[Any, ...], int] = {}
        self._groups: dict[tuple[str, tuple[Series, ...]], int] = {}

    def known(self, series: tuple[Series, ...], kind: GroupKind) -> int | None:
        """The number of a group that was added before."""
        return self._groups.get((kind, series))

    def add(self, series: tuple[Series, ...], kind: GroupKind) -> tuple[int, dict[str, Any]]:
        """Number a new group; also the message that defines it to a reader of all messages so far."""
        message: dict[str, Any] = {}
        places: list[int] = []
        for one in series:
            number = self._places.get(one.place)
            if number is None:
                number = self._places[one.place] = len(self._places)
                message.setdefault("places", []).append(_place_fields(one.place))
            places.append(number)
        names = tuple((one.name, one.statistic, one.unit, one.origin, one.sampled) for one in series)
        template = self._templates.get((kind, names))
        if template is None:
            template = self._templates[(kind, names)] = len(self._templates)
            message["template"] = [kind, names]
        group = self._groups[(kind, series)] = len(self._groups)
        message["group"] = [template, places[0] if len(set(places)) == 1 else places]
        return group, message

    @staticmethod
    def frame(messages: Sequence[Mapping[str, Any]]) -> bytes:
        """One frame for many messages."""
        text = json.dumps(messages, separators=(",", ":"))
        return frame(FrameKind.DEFINITIONS, text.encode(), squeeze_above=_SQUEEZE_ABOVE)


class Definitions:
    """What a reader knows of one writer: its header, places and groups."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.places: list[Place] = []
        self.groups: list[GroupInfo] = []
        self._templates: list[tuple[GroupKind, tuple[tuple[str, str, str, Origin, str], ...]]] = []

    def take(self, payload: bytes | memoryview) -> None:
        """Take in one frame.

        Raises:
            FormatError: it is not what an `Encoder` writes; what came before stays.
        """
        try:
            for message in json.loads(bytes(payload)):
                self._take(message)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, AttributeError) as error:
            raise FormatError(f"a definition cannot be read: {error}") from None

    def _take(self, message: dict[str, Any]) -> None:
        if "writer" in message:
            self.header = dict(message["writer"])
        for fields in message.get("places", ()):
            self.places.append(_place(fields))
        if "template" in message:
            kind, names = message["template"]
            if kind not in get_args(GroupKind):
                raise ValueError(f"no kind of group is called {kind!r}")
            self._templates.append((kind, tuple((n, s, u, o, how) for n, s, u, o, how in names)))
        if "group" in message:
            number, where = message["group"]
            kind, names = self._templates[_natural(number)]
            at = [where] * len(names) if isinstance(where, int) else where
            series = tuple(
                Series(
                    name=str(name),
                    place=self.places[_natural(place)],
                    statistic=str(statistic),
                    unit=str(unit),
                    origin=origin,
                    sampled=str(sampled),
                )
                for (name, statistic, unit, origin, sampled), place in zip(names, at, strict=True)
            )
            self.groups.append(GroupInfo(len(self.groups), kind, series))


def _natural(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"{number!r} numbers nothing")
    return number


def _place(fields: dict[str, Any]) -> Place:
    source = fields.get("source")
    kind: PlaceKind = fields["kind"]
    return Place(
        path=str(fields["path"]),
        kind=kind,
        training=int(fields.get("training", -1)),
        class_name=str(fields.get("class_name", "")),
        shape=tuple(int(size) for size in fields.get("shape", ())),
        dtype=str(fields.get("dtype", "")),
        source=None if source is None else (str(source[0]), int(source[1])),
        parent=fields.get("parent"),
        aliases=tuple(str(alias) for alias in fields.get("aliases", ())),
        order=int(fields.get("order", -1)),
    )
