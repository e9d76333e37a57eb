"""A run in memory that answers as a store reader does, for tests that need no disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from unbug.store.contract import Curve, Points
from unbug.types import Event, Phase, Place, Run, RunState, Series, Status, Training


class MemoryReader:
    """Rows are `(series, training, step, value)` plus options; implements `store.contract.Reader`."""

    def __init__(
        self,
        *,
        trainings: Sequence[Training] = (Training(number=0, steps=0, ended=True),),
        events: Sequence[Event] = (),
        places: Sequence[Place] = (),
    ) -> None:
        self.path = Path("unbug-runs/memory")
        self.run = Run(id="0192f000-0000-7000-8000-000000000000", name="memory", created_ns=0, anchor_ns=0)
        self.status = Status(state=RunState.FINISHED, updated_ns=0)
        self._trainings, self._events, self._places = tuple(trainings), tuple(events), tuple(places)
        self._rows: dict[Series, list[tuple[float, ...]]] = {}

    def add(
        self,
        series: Series,
        values: Mapping[int, float] | Sequence[float],
        *,
        training: int = 0,
        phase: Phase = Phase.TRAIN,
        attempt: int = 0,
        rank: int = 0,
        micro: int = 0,
    ) -> Series:
        by_step = values if isinstance(values, Mapping) else dict(enumerate(values))
        rows = self._rows.setdefault(series, [])
        rows += [(training, s, micro, phase, s * 10**6, np.nan, attempt, rank, v) for s, v in by_step.items()]
        return series

    def refresh(self) -> bool:
        return False

    def trainings(self) -> tuple[Training, ...]:
        return self._trainings

    def places(self) -> tuple[Place, ...]:
        return self._places or tuple(dict.fromkeys(series.place for series in self._rows))

    def series(self) -> tuple[Series, ...]:
        return tuple(self._rows)

    def find(
        self, *, name=None, place=None, statistic=None, origin=None, training=None
    ) -> tuple[Series, ...]:
        return tuple(
            s
            for s, rows in self._rows.items()
            if name in (None, s.name)
            and place in (None, s.place.path)
            and statistic in (None, s.statistic)
            and origin in (None, s.origin)
            and (training is None or any(row[0] == training for row in rows))
        )

    def read(self, series, *, training=None, start=None, stop=None) -> Points:
        rows = [
            row
            for row in self._rows.get(series, [])
            if training in (None, row[0])
            and (start is None or row[1] >= start)
            and (stop is None or row[1] < stop)
        ]
        rows.sort(key=lambda row: (row[6], row[1], row[2], row[4]))
        columns = list(zip(*rows, strict=True)) or [()] * 9
        kinds = (np.int64, np.int64, np.int64, np.int8, np.int64, np.float64, np.int16, np.int16, np.float64)
        names = ("training", "step", "micro", "phase", "t_ns", "user_step", "attempt", "rank", "values")
        return Points(**{n: np.asarray(c, k) for n, c, k in zip(names, columns, kinds, strict=True)})

    def curve(self, series, *, points=2000, training=None, start=None, stop=None) -> Curve:
        rows = self.read(series, training=training, start=start, stop=stop)
        finite = np.isfinite(rows.values)
        value = np.where(finite, rows.values, np.nan)
        ones = np.ones(len(value), np.int64)
        return Curve(
            step_first=rows.step, step_last=rows.step, t_ns=rows.t_ns, low=value, high=value, mean=value,
            count=ones, nonfinite=(~finite).astype(np.int64), exact=True,
        )  # fmt: skip

    def blobs(self, series, *, training=None) -> Iterator[tuple[int, int, bytes]]:
        yield from ()

    def events(self, kind=None, *, training=None) -> tuple[Event, ...]:
        return tuple(e for e in self._events if kind in (None, e.kind) and training in (None, e.training))

    def close(self) -> None: ...
