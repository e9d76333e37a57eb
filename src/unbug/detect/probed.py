"""What probes found: their events, and the place of a module that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from unbug.types import Place, Source

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["Probed", "module_place", "probed"]

Probed = Mapping[str, Any]


def probed(window: Window, name: str) -> Iterator[tuple[int, Probed]]:
    """`(step, fields)` of each result of a probe that could be made."""
    for event in window.events("probe"):
        if event.fields.get("probe") == name and event.fields.get("possible") is not False:
            yield max(event.step, 0), event.fields


def module_place(window: Window, path: str, *, otherwise: str) -> tuple[str, Source | None]:
    """The recorded path of a module that a probe knows by its path inside the model, and its class's line.

    Args:
        otherwise: Class of the model, which is the place where there is no such module.
    """
    modules = [place for place in window.places if place.kind == "module"]
    if path:
        found = next((one for one in modules if one.path == path or one.path.endswith(f".{path}")), None)
        if found is not None:
            return found.path, _source(found)
    for place in modules:
        if place.class_name.rpartition(".")[2] == otherwise and "." not in place.path:
            return place.path, _source(place)
    return otherwise, None


def _source(place: Place) -> Source | None:
    return Source(file=place.source[0], line=place.source[1]) if place.source else None
