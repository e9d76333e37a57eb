"""What the `flat` events tell: how much of what a nonlinearity gives lies where it is flat, look by look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbug.detect.wired import number

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["Flatness", "flatness"]


@dataclass(frozen=True, kw_only=True)
class Flatness:
    """One kind of nonlinearity behind one weight.

    Args:
        place: The module that holds the weight, or the weight itself where it is in none.
        op: Its name in the graph, e.g. `Tanh`; `MkldnnRnnLayer` for the gates of a fused recurrent layer.
        gate: Whether it multiplies something.
        steps: Of the looks.
        flat: Share of values in the flat part at each of them; of zeros for a ReLU.
        dead: Share of units that are zero for all examples, of a ReLU; NaN where it is not known.
    """

    place: str
    op: str
    gate: bool
    steps: tuple[int, ...]
    flat: tuple[float, ...]
    dead: tuple[float, ...]

    def first(self, least: float, looks: int, *, of: str = "flat") -> int | None:
        """The first look from which on so many in a row showed at least that share; None if there is none."""
        row = 0
        for index, share in enumerate(getattr(self, of)):
            row = row + 1 if share >= least else 0
            if row == looks:
                return index - looks + 1
        return None


def flatness(window: Window) -> tuple[Flatness, ...]:
    """Those that weights come after, in the order in which the looks show them."""
    rows: dict[tuple[str, str], list[tuple[int, Mapping[str, Any]]]] = {}
    for event in window.events("flat"):
        for item in event.fields.get("items") or ():
            if item.get("hidden") and item.get("after"):
                found = rows.setdefault((str(item["after"]), str(item.get("op"))), [])
                if not found or found[-1][0] != max(event.step, 0):
                    found.append((max(event.step, 0), item))
    return tuple(
        Flatness(
            place=_owner(after),
            op=op,
            gate=bool(found[0][1].get("gate")),
            steps=tuple(step for step, _ in found),
            flat=tuple(number(item.get("flat")) for _, item in found),
            dead=tuple(number(item.get("dead")) for _, item in found),
        )
        for (after, op), found in rows.items()
    )


def _owner(path: str) -> str:
    module, _, name = path.rpartition(".")
    return module if module and name.startswith(("weight", "bias")) else path
