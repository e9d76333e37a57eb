"""Optimizers of a training as they were set up, and the line of the program that something stands in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbug.types import Source

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = [
    "Scheduler",
    "Setup",
    "half_precision",
    "program_line",
    "schedulers",
    "setups",
    "stepping",
]

_HALF = ("float16", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One optimizer when it joined the training.

    Args:
        class_name: Last part of its class.
        options: Of the parameter group with most elements.
        elements: Of all groups.
        primary: Whether it counts the steps of the training.
        source: The line that made it.
    """

    step: int
    class_name: str
    options: Mapping[str, Any]
    elements: int
    primary: bool
    source: Source | None

    def number(self, name: str) -> float:
        """An option as a number; 0 where it is none."""
        value = self.options.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    @property
    def momentum(self) -> float:
        """Weight of the past in the direction of a step: `momentum`, or the first of `betas`."""
        betas = self.options.get("betas")
        if isinstance(betas, list | tuple) and betas and isinstance(betas[0], int | float):
            return float(betas[0])
        return self.number("momentum")

    @property
    def keeps_state(self) -> bool:
        """Whether it carries something from step to step that is lost with it."""
        return self.class_name != "SGD" or self.momentum > 0


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What was known of a scheduler of the learning rate at some step.

    Args:
        count: How often it had been stepped.
        stray: How often of these the optimizer that it drives was not the one in use.
        source: The line that steps it.
    """

    step: int
    class_name: str
    options: Mapping[str, Any]
    count: int
    stray: int
    source: Source | None


def schedulers(window: Window) -> tuple[Scheduler, ...]:
    """The `scheduler` events, in order: several of each scheduler, as it is stepped on."""
    return tuple(
        Scheduler(
            step=max(event.step, 0),
            class_name=str(event.fields.get("class") or ""),
            options=event.fields.get("options") or {},
            count=int(event.fields.get("count") or 0),
            stray=int(event.fields.get("stray") or 0),
            source=_source(event.fields.get("file"), event.fields.get("line")),
        )
        for event in window.events("scheduler")
    )


def setups(window: Window) -> tuple[Setup, ...]:
    """The `optimizer` events, in order."""
    found = []
    for event in window.events("optimizer"):
        fields = event.fields
        groups = [group for group in fields.get("groups") or () if isinstance(group, Mapping)]
        if not groups:
            continue
        found.append(
            Setup(
                step=max(event.step, 0),
                class_name=str(fields.get("class") or "").rpartition(".")[2],
                options=max(groups, key=lambda group: int(group.get("elements") or 0)),
                elements=sum(int(group.get("elements") or 0) for group in groups),
                primary=fields.get("primary") is not False,
                source=_source(fields.get("file"), fields.get("line")),
            )
        )
    return tuple(found)


def stepping(window: Window) -> Setup | None:
    """The optimizer that counts the steps; of several the first."""
    every = setups(window)
    return next((one for one in every if one.primary), every[0] if every else None)


def program_line(window: Window, pattern: str) -> Source | None:
    """The only line of the program's own modules that holds a pattern; None where it is in several or none.

    Comments and strings are not told apart from code: choose a pattern that hardly stands in them.
    """
    sought = re.compile(pattern)
    found = []
    for event in window.events("source"):
        file, text = event.fields.get("file"), event.fields.get("text")
        if isinstance(file, str) and isinstance(text, str):
            for number, line in enumerate(text.splitlines(), 1):
                if sought.search(line.partition("#")[0]):
                    found.append(Source(file=file, line=number))
    return found[0] if len(found) == 1 else None


def half_precision(window: Window) -> str:
    """The type of 16 bits that weights or, by autocast, results are kept in; empty if there is none."""
    kinds = {place.dtype for place in window.places if place.kind == "parameter"}
    for event in window.events("precision"):
        if event.fields.get("autocast"):
            kinds.add(str(event.fields.get("dtype") or ""))
    return next((kind for kind in _HALF if kind in kinds), "")


def _source(file: Any, line: Any) -> Source | None:
    return Source(file=str(file), line=int(line)) if file and line else None
