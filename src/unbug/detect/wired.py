"""What the `wiring` and `layers` events tell, in the form that rules ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbug.types import Event, Evidence, Source

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["Fact", "fact_evidence", "given_line", "layers", "number", "shape_text", "wired", "wirings"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One entry of a list in a `wiring` event, at the step where it was first seen.

    Args:
        place: Module it is in or behind; empty if none is known.
        source: The line that makes it, where it was found.
        loss: The line that computes the loss.
    """

    step: int
    place: str
    item: Mapping[str, Any]
    fields: Mapping[str, Any]
    source: Source | None
    loss: Source | None


def wirings(window: Window) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    """`(step, fields)` of each look at the wiring, in order."""
    return tuple((max(event.step, 0), event.fields) for event in window.events("wiring"))


def wired(window: Window, name: str) -> Iterator[Fact]:
    """What the looks show under a name, each entry once."""
    told: set[tuple[tuple[str, str], ...]] = set()
    for step, fields in wirings(window):
        for item in fields.get(name) or ():
            key = tuple(sorted((str(k), str(v)) for k, v in item.items()))
            if key not in told:
                told.add(key)
                yield Fact(
                    step=step,
                    place=str(item.get("place") or ""),
                    item=item,
                    fields=fields,
                    source=given_line(item),
                    loss=given_line(fields),
                )


def layers(window: Window) -> Event | None:
    """The event that tells how the layers are set up; None where nothing was told."""
    return next(iter(window.events("layers")), None)


def given_line(fields: Mapping[str, Any]) -> Source | None:
    """The line of the program that fields name."""
    file, line = str(fields.get("file") or ""), int(fields.get("line") or 0)
    return Source(file=file, line=line) if file and line else None


def number(value: Any, otherwise: float = float("nan")) -> float:
    """A number of a profile; `otherwise` where it has none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return otherwise
    return float(value)


def shape_text(shape: Any) -> str:
    """A shape as a program writes it."""
    sizes = [int(one) for one in shape] if isinstance(shape, list | tuple) else []
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def fact_evidence(window: Window, fact: Fact, label: str, *, place: str = "") -> Evidence:
    """A fact as evidence."""
    return Evidence(
        place=place or fact.place or "loss",
        training=window.training.number,
        steps=(fact.step, fact.step),
        label=label,
        facts=dict(fact.item),
    )
