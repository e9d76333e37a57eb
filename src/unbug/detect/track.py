"""One series inside a window: the recorded steps and values of a statistic at a place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from unbug.errors import EvidenceError
from unbug.types import Evidence, Place

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_POINTS", "Track"]

MOST_POINTS = 200
"""Most points that a piece of evidence keeps."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Recorded rows of one series in one training, in order of step.

    Steps may have gaps (sampling, thinning) and may repeat (micro-batches, several calls in a step); rules
    count recorded rows, never assume that neighbours are one step apart.

    Args:
        name: As asked for, e.g. `activation.zero_share`.
        steps: `(rows,)`, ascending.
        values: `(rows,)`; NaN where a value is missing or is itself NaN.
        where: The place with its class, shape, source and order in the network.
        statistic: As in `Series.statistic`, e.g. `group 0`.
        sampled: How it was sampled, in words; empty if every step.
    """

    name: str
    where: Place
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    statistic: str = ""
    unit: str = ""
    sampled: str = ""
    training: int = 0
    micros: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def place(self) -> str:
        """Path of the place."""
        return self.where.path

    @property
    def class_name(self) -> str:
        """Last part of the module's class name, e.g. `ReLU`; empty if the place is no module."""
        return self.where.class_name.rpartition(".")[2]

    def __len__(self) -> int:
        return len(self.steps)

    def before(self, step: int) -> Track:
        """The rows of earlier steps."""
        return self.rows(slice(0, int(np.searchsorted(self.steps, step, side="left"))))

    def rows(self, part: slice) -> Track:
        """Some of the rows."""
        return Track(
            name=self.name,
            where=self.where,
            steps=self.steps[part],
            values=self.values[part],
            statistic=self.statistic,
            unit=self.unit,
            sampled=self.sampled,
            training=self.training,
            micros=self.micros[part],
        )

    def with_rows(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> Track:
        """A track of the same place with other rows."""
        return replace(self, steps=steps, values=values, micros=np.zeros(len(steps), np.int64))

    def evidence(
        self,
        part: slice | None = None,
        *,
        threshold: float | None = None,
        above: bool | None = True,
        mark: tuple[int, ...] | None = None,
        label: str = "",
        unit: str = "",
    ) -> Evidence:
        """What a finding rests on, as data.

        Args:
            part: The decisive rows; all if left out. Evidence keeps them, and the rows before them as
                context.
            threshold: What was compared with, or None.
            above: True where values at or above the threshold are the bad ones, False where those at or
                below.
            mark: Steps to mark; the first decisive one if left out.
        Raises:
            EvidenceError: no row is decisive.
        """
        first, last, _ = (part or slice(None)).indices(len(self))
        if first >= last:
            raise EvidenceError(
                f"evidence from {self.name} at {self.place!r} has no rows ({len(self)} recorded)"
            )
        steps = int(self.steps[first]), int(self.steps[last - 1])
        return Evidence(
            series=self.name,
            place=self.place,
            statistic=self.statistic,
            training=self.training,
            steps=steps,
            threshold=None if threshold is None else float(threshold),
            above=None if threshold is None else above,
            mark=(steps[0],) if mark is None else mark,
            points=self.points(first, last),
            unit=unit or self.unit,
            label=label,
        )

    def points(self, first: int, last: int) -> tuple[tuple[int, float], ...]:
        """At most `MOST_POINTS` rows up to `last`: a quarter for what came before, the rest for what
        decides."""
        context = _spread(0, first, MOST_POINTS // 4)
        decisive = _spread(first, last, MOST_POINTS - len(context))
        chosen = np.concatenate([context, decisive])
        return tuple((int(self.steps[row]), float(self.values[row])) for row in chosen)


def _spread(first: int, last: int, most: int) -> NDArray[np.int64]:
    """At most `most` row numbers of `[first, last)`, evenly, both ends among them."""
    if last - first <= most:
        return np.arange(first, last, dtype=np.int64)
    return np.unique(np.linspace(first, last - 1, most).round().astype(np.int64))
