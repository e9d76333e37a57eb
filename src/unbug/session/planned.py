"""How many steps the program meant to make, as far as it says so."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.types import Event

__all__ = ["Planned", "live_bars", "main_numbers", "planned"]

_EPOCHS = re.compile(r"((num|n|max|total|train)_?)?((num|train)_?)?epochs", re.IGNORECASE)
_STEPS = re.compile(r"((num|n|max|total|train)_?)?((num|train)_?)?(steps|iters|iterations)", re.IGNORECASE)
_SHARE_LEAST = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """Steps of the whole training, and what says so."""

    steps: int
    by: str


def planned(
    made: int,
    events: Iterable[Event],
    *,
    bars: Iterable[tuple[float, float]] = (),
    numbers: Mapping[str, int] | None = None,
) -> Planned | None:
    """What the training was to be: by what its framework says of epochs, else by its progress bar, else by
    the number of epochs or steps in its settings or among the variables of its script.

    Args:
        made: Steps made so far.
        events: Of the training.
        bars: `(done, total)` of progress bars that are open.
        numbers: Whole numbers among the script's variables, by name.
    Returns:
        None where nothing says so, or what it says is over already.
    """
    every = list(events)
    found = (
        _of_framework(made, every)
        or _of_bars(made, bars)
        or _of_settings(every, _hyperparameters(every), by="its settings")
        or _of_settings(every, numbers or {}, by="its script")
    )
    return found if found is not None and found.steps > made else None


def live_bars() -> list[tuple[float, float]]:
    """`(done, total)` of the bars of tqdm that are open, the longest first."""
    standard = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    found = []
    for bar in list(getattr(standard, "_instances", ())):
        done, total = getattr(bar, "n", None), getattr(bar, "total", None)
        if isinstance(done, int | float) and isinstance(total, int | float) and 0 < done <= total:
            found.append((float(done), float(total)))
    return sorted(found, key=lambda bar: bar[0] / bar[1])


def main_numbers() -> dict[str, int]:
    """Whole numbers among the variables of the program's main module."""
    values = dict(getattr(sys.modules.get("__main__"), "__dict__", {}))
    return {name: value for name, value in values.items() if type(value) is int and value > 0}


def _of_framework(made: int, events: list[Event]) -> Planned | None:
    told = [(e.step, e.fields.get("epoch"), e.fields.get("of")) for e in events if e.kind == "epoch"]
    for step, epoch, of in reversed(told):
        if isinstance(epoch, int) and isinstance(of, int) and of > 0 and step > 0:
            first = min(one for _, one, _ in told if isinstance(one, int))
            done = epoch - first + 1
            return Planned(steps=max(round(step / done * of), made), by="its epochs")
    return None


def _of_bars(made: int, bars: Iterable[tuple[float, float]]) -> Planned | None:
    for done, total in bars:
        if made > 0 and done / total >= _SHARE_LEAST:
            return Planned(steps=round(made * total / done), by="its progress bar")
    return None


def _hyperparameters(events: list[Event]) -> dict[str, int]:
    told = [event.fields.get("values") for event in events if event.kind == "hyperparameters"]
    return {
        name.rpartition(".")[2]: value
        for values in told
        if isinstance(values, Mapping)
        for name, value in values.items()
        if type(value) is int and value > 0
    }


def _of_settings(events: list[Event], values: Mapping[str, int], *, by: str) -> Planned | None:
    steps = [value for name, value in values.items() if _STEPS.fullmatch(name)]
    if len(set(steps)) == 1:
        return Planned(steps=steps[0], by=by)
    epochs = {value for name, value in values.items() if _EPOCHS.fullmatch(name)}
    if len(epochs) != 1 or steps:
        return None
    return Planned(steps=epochs.pop() * (_steps_an_epoch(events) or 1), by=by)


def _steps_an_epoch(events: list[Event]) -> int | None:
    """Of the loader that the model is trained from; None where there is none."""
    for event in events:
        fields: Mapping[str, Any] = event.fields
        examples, batch = fields.get("examples"), fields.get("batch_size")
        if event.kind == "loader" and fields.get("grad") is not False and examples and batch:
            share = int(examples) / int(batch)
            return math.floor(share) if fields.get("drop_last") else math.ceil(share)
    return None
