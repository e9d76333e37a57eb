"""Cases of a rule: small windows on which it must fire or stay silent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from unbug.detect.window import Window
from unbug.types import Event, Phase, Place, Severity, Training

__all__ = ["Case", "event", "fires", "silent"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A window and what the rule must say of it.

    Args:
        label: What is special about it.
        make: Makes the window.
        fires: Whether the rule must state something.
        place: Where, if it fires; empty leaves it open.
        severity, diagnoses: Of the first finding, where the rule decides them from the window.
    """

    label: str
    fires: bool
    make: Callable[[], Window] = field(repr=False)
    place: str = ""
    severity: Severity | None = None
    diagnoses: tuple[str, ...] | None = None

    @cached_property
    def window(self) -> Window:
        """What the rule is shown. It is made when it is asked for: loading the rules must be quick."""
        return self.make()


def event(kind: str, *, step: int = 0, phase: Phase = Phase.TRAIN, **fields: Any) -> Event:
    """An event of training 0, for cases and tests."""
    return Event(kind=kind, t_ns=step, training=0, step=step, phase=phase, fields=fields)


def fires(
    label: str,
    *,
    place: str = "",
    severity: Severity | None = None,
    diagnoses: tuple[str, ...] | None = None,
    ended: bool = True,
    events: Iterable[Event] = (),
    places: Iterable[Place] = (),
    training: Training | None = None,
    evaluation: Mapping[str, Mapping[str, Mapping[int, float]]] | None = None,
    **series: Mapping[str, Sequence[float]],
) -> Case:
    """A window on which the rule must state a finding.

    Args:
        evaluation: Rows of phase `eval`: name -> path -> step -> value.
        series: Path -> one value a step; `__` stands for the dot: `loss__value={"loss": [1.0]}`.
    """
    make = _maker(series, ended=ended, events=events, places=places, training=training, evaluation=evaluation)
    return Case(label=label, fires=True, make=make, place=place, severity=severity, diagnoses=diagnoses)


def silent(
    label: str,
    *,
    ended: bool = True,
    events: Iterable[Event] = (),
    places: Iterable[Place] = (),
    training: Training | None = None,
    evaluation: Mapping[str, Mapping[str, Mapping[int, float]]] | None = None,
    **series: Mapping[str, Sequence[float]],
) -> Case:
    """A window on which the rule must say nothing; arguments as for `fires`."""
    make = _maker(series, ended=ended, events=events, places=places, training=training, evaluation=evaluation)
    return Case(label=label, fires=False, make=make)


def _maker(
    series: Mapping[str, Mapping[str, Sequence[float]]], *, events: Iterable[Event], **options: Any
) -> Callable[[], Window]:
    kept = tuple(events)

    def make() -> Window:
        named = {name.replace("__", "."): rows for name, rows in series.items()}
        return Window.from_lists(named, events=kept, **options)

    return make
