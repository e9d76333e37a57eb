"""What events tell of the loop and of the parameters, in the form that rules ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unbug.types import Evidence

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["common_place", "facts_evidence", "named", "orders", "parameter_looks"]


def orders(window: Window) -> tuple[tuple[int, str], ...]:
    """`(step, word)` of each order of calls, at the step where it was first seen."""
    first: dict[str, int] = {}
    for event in window.events("loop_order"):
        word = str(event.fields.get("order", ""))
        first.setdefault(word, max(event.step, 0) if "count" not in event.fields else _first(event.fields))
    return tuple((step, word) for word, step in sorted(first.items(), key=lambda pair: pair[1]))


def parameter_looks(window: Window) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    """`(step, fields)` of each look at which parameters the optimizer owns."""
    return tuple((max(event.step, 0), event.fields) for event in window.events("parameters"))


def common_place(paths: Sequence[str]) -> str:
    """The deepest module that holds all the paths; the first path itself where there is none."""
    split = [path.split(".") for path in paths]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared) or paths[0]


def named(paths: Iterable[str], *, most: int = 3) -> str:
    """A few paths by name, the rest by number."""
    every = list(paths)
    shown = ", ".join(every[:most])
    return shown + (f" and {len(every) - most} more" if len(every) > most else "")


def facts_evidence(window: Window, place: str, steps: tuple[int, int], label: str, **facts: Any) -> Evidence:
    """Evidence that no series shows."""
    return Evidence(place=place, training=window.training.number, steps=steps, label=label, facts=facts)


def _first(fields: Mapping[str, Any]) -> int:
    return int(fields.get("first_step", 0) or 0)
