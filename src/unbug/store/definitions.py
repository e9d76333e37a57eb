"""Definitions: which series a group holds, at which places. Written once a writer, in a log of their own.

A group is a template (kind, names, units …) and the number of its place, so that a hundred thousand
parameters with the same nine statistics cost a hundred thousand short lines and not a hundred thousand lists
of names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from unbug.store.contract import GroupKind
from unbug.store.frames import FormatError, FrameKind, frame
from unbug.types import Origin, Place, PlaceKind, Series

__all__ = ["CLASS_OF", "Definitions", "Encoder", "Template"]

_SQUEEZE_ABOVE = 512


CLASS_OF: Mapping[GroupKind, str] = {"scalar": "s", "detail": "d", "blob": "b"}
"""The letter of each kind in the names of segments."""


class Template(NamedTuple):
    """What many groups have in common: their kind, and name, statistic, unit, origin, sampling of each
    column."""

    kind: GroupKind
    names: tuple[tuple[str, str, str, Origin, str], ...]

    @property
    def width(self) -> int:
        """Values in a row; 0 for blobs."""
        return 0 if self.kind == "blob" else len(self.names)


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
    """What a reader knows of one writer: its header, places and groups. A place or a series is made when it
    is asked for: there may be a million."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.templates: list[Template] = []
        self._template_of: list[int] = []
        self._places_of: list[int | list[int]] = []
        self._classes = bytearray()
        self._fields: list[dict[str, Any]] = []
        self._places: dict[int, Place] = {}

    def __len__(self) -> int:
        return len(self._template_of)

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
            self._fields.append(_checked(fields))
        if "template" in message:
            kind, names = message["template"]
            if kind not in get_args(GroupKind):
                raise ValueError(f"no kind of group is called {kind!r}")
            columns = tuple((str(n), str(s), str(u), o, str(how)) for n, s, u, o, how in names)
            self.templates.append(Template(kind, columns))
        if "group" in message:
            number, where = message["group"]
            template = self.templates[_natural(number, len(self.templates))]
            if isinstance(where, list):
                if len(where) != len(template.names):
                    raise ValueError(f"a group has {len(template.names)} series at {len(where)} places")
                for one in where:
                    _natural(one, len(self._fields))
            else:
                _natural(where, len(self._fields))
            self._template_of.append(number)
            self._places_of.append(where)
            self._classes.append(ord(CLASS_OF[template.kind]))

    # Groups.
    @property
    def classes(self) -> bytes:
        """The class letter of every group."""
        return bytes(self._classes)

    def template_of(self, group: int) -> Template:
        """Kind and columns of a group."""
        return self.templates[self._template_of[group]]

    def kind(self, group: int) -> GroupKind:
        """Kind of a group."""
        return self.template_of(group).kind

    def by_template(self) -> Mapping[int, Sequence[int]]:
        """The groups of each template, in order."""
        found: dict[int, list[int]] = {}
        for group, template in enumerate(self._template_of):
            found.setdefault(template, []).append(group)
        return found

    # What they are made of.
    def place(self, number: int) -> Place:
        """A place by its number."""
        known = self._places.get(number)
        if known is None:
            known = self._places[number] = _place(self._fields[number])
        return known

    @property
    def places(self) -> Iterator[Place]:
        """Every place, in the order of first mention."""
        return (self.place(number) for number in range(len(self._fields)))

    def series(self, group: int, column: int) -> Series:
        """The series of one column of a group."""
        where = self._places_of[group]
        name, statistic, unit, origin, sampled = self.template_of(group).names[column]
        return Series(
            name=name,
            place=self.place(where if isinstance(where, int) else where[column]),
            statistic=statistic,
            unit=unit,
            origin=origin,
            sampled=sampled,
        )


def _natural(number: Any, below: int) -> int:
    if not isinstance(number, int) or not 0 <= number < below:
        raise ValueError(f"{number!r} numbers nothing")
    return number


_SIMPLE = frozenset({"path", "kind", "training", "class_name", "dtype", "order"})


def _checked(fields: Any) -> dict[str, Any]:
    """The fields of a place, of which it is known now that one can be made."""
    if not isinstance(fields, dict) or "path" not in fields or not isinstance(fields.get("kind"), str):
        raise TypeError("a place has fields")
    for name in fields.keys() - _SIMPLE:
        if name == "shape":
            if not all(isinstance(size, int) for size in fields[name]):
                raise TypeError(f"a shape is not {fields[name]!r:.40}")
        elif name == "parent":
            if not isinstance(fields[name], str):
                raise TypeError(f"a parent is not {fields[name]!r:.40}")
        else:
            _place(fields)
            break
    int(fields.get("training", -1))
    int(fields.get("order", -1))
    return fields


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
