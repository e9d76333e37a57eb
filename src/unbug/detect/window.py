"""A window: all that was recorded of one training, up to some step. The only thing that a rule sees."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from unbug.detect.track import Track
from unbug.types import Event, Phase, Place, Training

__all__ = ["Origin", "Window"]


Kept = TypeVar("Kept")


class Origin(Protocol):
    """Where a window's rows come from: a run's reader, or lists."""

    def tracks(self, name: str, phase: Phase | None) -> Sequence[Track]:
        """Every track of that name; `phase` None means all but evaluation."""
        ...

    def events(self) -> Sequence[Event]: ...

    def places(self) -> Sequence[Place]: ...

    def ranks(self) -> Sequence[Origin]:
        """The same training as each rank recorded it, the first one included; none where it is alone."""
        ...


class Window:
    """One training, as rules see it.

    Args:
        training: Whose rows these are.
        origin: Where they come from.
        ended: No more steps can come: `final` rules may speak. False while the run lives.
        until: Rows and events of this step and later are hidden, or None.
    """

    def __init__(self, training: Training, origin: Origin, *, ended: bool, until: int | None = None) -> None:
        self.training, self.ended, self._origin, self._until = training, ended, origin, until
        self._tracks: dict[tuple[str, Phase | None], tuple[Track, ...]] = {}
        self._events: dict[str, list[Event]] | None = None
        self._places: tuple[Place, ...] | None = None
        self._kept: dict[Hashable, Any] = {}

    def read(self, name: str, *, place: str | None = None, phase: Phase | None = None) -> tuple[Track, ...]:
        """Tracks of a series, one for each place that has rows, in network order.

        Args:
            name: `<quantity>.<statistic>`, stored or derived, e.g. `loss.value`, `weight.l2`.
            place: Only this path.
            phase: Only rows of this phase; all but evaluation if left out.
        """
        key = name, phase
        if key not in self._tracks:
            found = self._origin.tracks(name, phase)
            if self._until is not None:
                found = [track.before(self._until) for track in found]
            self._tracks[key] = tuple(sorted((t for t in found if len(t)), key=_network_order))
        tracks = self._tracks[key]
        return tracks if place is None else tuple(track for track in tracks if track.place == place)

    def one(self, name: str, *, place: str | None = None, phase: Phase | None = None) -> Track | None:
        """The longest track of a series that has one place by nature, e.g. `loss.value`; None without
        rows."""
        return max(self.read(name, place=place, phase=phase), key=len, default=None)

    def events(self, kind: str) -> tuple[Event, ...]:
        """Events of a kind, in order of time."""
        if self._events is None:
            until = self._until
            self._events = {}
            for event in self._origin.events():
                if until is None or event.step < until:
                    self._events.setdefault(event.kind, []).append(event)
        return tuple(self._events.get(kind, ()))

    @property
    def places(self) -> tuple[Place, ...]:
        """Modules and parameters in network order."""
        if self._places is None:
            found = self._origin.places()
            self._places = tuple(sorted(found, key=lambda one: (one.order < 0, one.order, one.path)))
        return self._places

    @property
    def steps(self) -> int:
        """Steps that can be seen: of the training, or up to where the window was cut."""
        return self.training.steps if self._until is None else min(self.training.steps, self._until)

    @property
    def ranks(self) -> tuple[Window, ...]:
        """This training as each of several ranks recorded it, the first rank first; empty for one process."""
        each = self._origin.ranks()
        made = (Window(self.training, one, ended=self.ended, until=self._until) for one in each)
        return tuple(made) if len(each) > 1 else ()

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What several rules compute of this window, made once."""
        if key not in self._kept:
            self._kept[key] = make()
        found: Kept = self._kept[key]
        return found

    def head(self, step: int) -> Window:
        """What was known before `step`: a window that has not ended."""
        until = step if self._until is None else min(step, self._until)
        return Window(self.training, self._origin, ended=False, until=until)

    @classmethod
    def from_lists(
        cls,
        series: Mapping[str, Mapping[str, Sequence[float]]],
        *,
        evaluation: Mapping[str, Mapping[str, Mapping[int, float]]] | None = None,
        events: Iterable[Event] = (),
        places: Iterable[Place] = (),
        training: Training | None = None,
        ended: bool = False,
        beside: Iterable[Window] = (),
    ) -> Window:
        """A window over numbers written by hand: for cases and tests.

        Args:
            series: Name -> path -> one value a step from step 0; a NaN is a row with a missing value. A path
                may carry a statistic behind a blank, `optimizer group 0`.
            evaluation: Name -> path -> step -> value, rows of phase `eval`.
            places: Places with class, shape or source; others are plain modules in the order of their
                mention.
            beside: What the other ranks recorded.
        """
        origin = _Lists(series, evaluation or {}, tuple(events), tuple(places))
        origin.beside = tuple(one._origin for one in beside)
        steps = max((len(v) for by_path in series.values() for v in by_path.values()), default=0)
        optimised = max((p.step + 1 for p in origin.events()), default=0)
        return cls(training or Training(number=0, steps=max(steps, optimised)), origin, ended=ended)


def _network_order(track: Track) -> tuple[bool, int, str, str]:
    order = track.where.order
    return order < 0, order, track.place, track.statistic


class _Lists:
    """Rows written by hand."""

    def __init__(
        self,
        series: Mapping[str, Mapping[str, Sequence[float]]],
        evaluation: Mapping[str, Mapping[str, Mapping[int, float]]],
        events: tuple[Event, ...],
        places: tuple[Place, ...],
    ) -> None:
        self._events = events
        self.beside: tuple[Origin, ...] = ()
        self._tracks: list[tuple[Phase, Track]] = []
        self._places = {place.path: place for place in places}
        for name, by_path in series.items():
            for key, values in by_path.items():
                self._add(name, key, np.arange(len(values)), list(values), Phase.TRAIN)
        for name, by_path_and_step in evaluation.items():
            for key, by_step in by_path_and_step.items():
                self._add(
                    name, key, np.array(sorted(by_step)), [by_step[s] for s in sorted(by_step)], Phase.EVAL
                )

    def _add(self, name: str, key: str, steps: Any, values: list[float], phase: Phase) -> None:
        path, _, statistic = key.partition(" ")
        if path not in self._places:
            self._places[path] = Place(path=path, kind="module", order=len(self._places))
        track = Track(
            name=name,
            where=self._places[path],
            statistic=statistic,
            steps=np.asarray(steps, np.int64),
            values=np.asarray(values, np.float64),
            micros=np.zeros(len(values), np.int64),
        )
        self._tracks.append((phase, track))

    def tracks(self, name: str, phase: Phase | None) -> Sequence[Track]:
        return [
            t
            for of, t in self._tracks
            if t.name == name and (of is phase or (phase is None and of is not Phase.EVAL))
        ]

    def events(self) -> Sequence[Event]:
        return self._events

    def places(self) -> Sequence[Place]:
        return tuple(self._places.values())

    def ranks(self) -> Sequence[Origin]:
        return (self, *self.beside) if self.beside else ()
