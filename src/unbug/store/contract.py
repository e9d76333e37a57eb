"""What the store promises to those who write and those who read. The layout is in
docs/explanation/storage.md.

Written values fall in three classes, one *group* each: `scalar` rows are never thinned; `detail` rows
(statistics of tensors) and `blob` rows (histograms) are thinned with age once the disk budget asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from unbug.types import Attempt, Event, Phase, Place, Run, Series, Status, Training

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Curve", "GroupKind", "Points", "Reader", "Writer"]

GroupKind = Literal["scalar", "detail", "blob"]


class Writer(Protocol):
    """Appends for one process. `rows` and `event` may be called from any thread and never block, touch a
    file or raise; the other methods belong to the one background thread (and to `close`)."""

    def group(self, series: Sequence[Series], *, kind: GroupKind = "scalar") -> int:
        """Declare series that are always written together; returns the group's number. Idempotent."""
        ...

    def row(
        self,
        group: int,
        values: Sequence[float] | bytes,
        *,
        t_ns: int,
        training: int = -1,
        step: int = -1,
        micro: int = 0,
        phase: int = Phase.OTHER,
        user_step: float | None = None,
    ) -> None:
        """Queue one row. `values` has one float per series of the group (NaN is a value; a missing value is
        a row of another group), or the bytes of a blob group. The caller gives `values` away."""
        ...

    def event(self, kind: str, fields: Mapping[str, Any], *, t_ns: int, training: int = -1, step: int = -1,
              micro: int = 0, phase: int = Phase.OTHER) -> None:  # fmt: skip
        """Queue one event; `fields` are JSON values (NaN and infinities are written as strings)."""
        ...

    def training(self, training: Training) -> None:
        """State or update what is known of a training (an event of kind `training`; the last one holds)."""
        ...

    def before_flush(self, feed: Callable[[], None]) -> None:
        """Call `feed` before each flush, in the thread that flushes: it queues what its owner kept back. One
        that raises is not called again."""
        ...

    def flush(self) -> int:
        """Write all that is queued with one system call; returns the bytes written. A full disk or a
        read-only folder keeps the queue (bounded), is counted in `lost`, and is tried again."""
        ...

    def maintain(self, *, budget_s: float = 0.05) -> None:
        """Roll the live log, merge segments, thin detail: as much as fits in about `budget_s`."""
        ...

    def status(self, status: Status) -> None:
        """Replace the run's status file atomically (the run's first writer only; others ignore it)."""
        ...

    @property
    def lost(self) -> tuple[str, ...]:
        """What could not be kept, in words for the coverage event."""
        ...

    def close(self, *, deadline_s: float = 1.0) -> None:
        """Flush and release every handle within the deadline. Idempotent."""
        ...


@dataclass(frozen=True, kw_only=True)
class Points:
    """Raw rows of one series, by (attempt, training, step, micro, t_ns). Every array is `(rows,)`.

    `step` is the key; `user_step` is NaN where the user gave none.
    """

    training: NDArray[np.int64]
    step: NDArray[np.int64]
    micro: NDArray[np.int64]
    phase: NDArray[np.int8]
    t_ns: NDArray[np.int64]
    user_step: NDArray[np.float64]
    attempt: NDArray[np.int16]
    rank: NDArray[np.int16]
    values: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A series reduced to buckets of neighbouring rows. Every array is `(buckets,)`; buckets never straddle
    a NaN count: `mean`, `low` and `high` are over the finite values, `count` over all, `nonfinite` over the
    others.

    `exact` is true where each bucket is one row.
    """

    step_first: NDArray[np.int64]
    step_last: NDArray[np.int64]
    t_ns: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    count: NDArray[np.int64]
    nonfinite: NDArray[np.int64]
    exact: bool


class Reader(Protocol):
    """Reads a run, while it is written too. Opening loads no values and executes nothing."""

    path: Path
    run: Run

    @property
    def status(self) -> Status:
        """As last written, corrected: a `running` one whose process is gone is `killed`, or `lost` on
        another host."""
        ...

    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt at the run by number; a run that was never resumed has one."""
        ...

    def refresh(self) -> bool:
        """Take in what was written since; true if there was anything."""
        ...

    def trainings(self) -> tuple[Training, ...]: ...

    def places(self) -> tuple[Place, ...]: ...

    def series(self) -> tuple[Series, ...]: ...

    def names(self, *, origin: str | None = None) -> frozenset[str]:
        """The names of all series (of one origin): cheap, however many series there are."""
        ...

    def find(self, *, name: str | None = None, place: str | None = None, statistic: str | None = None,
             origin: str | None = None, training: int | None = None) -> tuple[Series, ...]:  # fmt: skip
        """Series by exact name, place path, statistic, origin; `training` keeps those with rows in that
        training."""
        ...

    def read(self, series: Series, *, training: int | None = None, start: int | None = None,
             stop: int | None = None, all_attempts: bool = False) -> Points:  # fmt: skip
        """Rows with `start <= step < stop`. Empty if there are none.

        Where a later attempt went back to step s of a training, the earlier attempts' rows from s on are left
        out, unless `all_attempts`.
        """
        ...

    def curve(self, series: Series, *, points: int = 2000, training: int | None = None,
              start: int | None = None, stop: int | None = None,
              all_attempts: bool = False) -> Curve:  # fmt: skip
        """At most about `points` buckets, from precomputed levels where the range is long. Attempts as in
        `read`."""
        ...

    def blobs(self, series: Series, *, training: int | None = None,
              all_attempts: bool = False) -> Iterator[tuple[int, int, bytes]]:  # fmt: skip
        """`(training, step, blob)` of a blob series. Attempts as in `read`."""
        ...

    def events(self, kind: str | None = None, *, training: int | None = None) -> tuple[Event, ...]:
        """In order of time over all writers, of all attempts."""
        ...

    def close(self) -> None: ...
