"""`unbug.open(run)`: a run as tables, curves and findings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from unbug.session.display import Findings, card
from unbug.session.rules import rule_settings
from unbug.settings import resolve
from unbug.types import Attempt, Event, Finding, Place, Run, RunState, Series, Status, Training

if TYPE_CHECKING:
    import os

    import pyarrow as pa

    from unbug.store import Curve, MediaItem, Points, RunReader

__all__ = ["RunView", "open_run"]


class RunView:
    """A run that is read, live or closed. Opening it executes nothing that it holds."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._reader.path

    @property
    def run(self) -> Run:
        """The manifest: id, name, when, command and facts."""
        return self._reader.run

    @property
    def status(self) -> Status:
        """How it stands."""
        return self._reader.status

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Its trainings, in order of their first step."""
        return self._reader.trainings()

    @property
    def places(self) -> tuple[Place, ...]:
        """Modules, parameters and call sites."""
        return self._reader.places()

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts at it, by number; a run that was never resumed has one."""
        return self._reader.attempts()

    def refresh(self) -> bool:
        """Take in what was written since; true if there was anything."""
        return self._reader.refresh()

    def series(
        self,
        name: str | None = None,
        *,
        place: str | None = None,
        origin: str | None = None,
        training: int | None = None,
    ) -> tuple[Series, ...]:
        """Series by exact name, place, origin (`auto`, `user`) and training; all of them without."""
        return self._reader.find(name=name, place=place, origin=origin, training=training)

    def read(
        self, series: Series | str, *, training: int | None = None, all_attempts: bool = False
    ) -> Points:
        """Every row of a series.

        Args:
            series: As `series()` gives it, or a name that only one has.
            all_attempts: With the rows of steps that a later attempt did again.
        Raises:
            UsageError: no series has the name, or several have.
        """
        return self._reader.read(self._one(series), training=training, all_attempts=all_attempts)

    def curve(self, series: Series | str, *, points: int = 2000, training: int | None = None) -> Curve:
        """A series cut down to about `points` buckets, each with its mean, lowest and highest value."""
        return self._reader.curve(self._one(series), points=points, training=training)

    def events(self, kind: str | None = None, *, training: int | None = None) -> tuple[Event, ...]:
        """What happened once, in order of time."""
        return self._reader.events(kind, training=training)

    def media(
        self, name: str | None = None, *, kind: str | None = None, training: int | None = None
    ) -> tuple[MediaItem, ...]:
        """Pictures, texts, sounds, tables, histograms and figures that the program logged, in order of time.

        Args:
            kind: `image`, `text`, `audio`, `table`, `histogram` or `figure`.
        """
        from unbug.store import media_items

        return tuple(media_items(self._reader, name=name, kind=kind, training=training))

    def tables(self, *, all_attempts: bool = False) -> Mapping[str, pa.Table]:
        """Every table, as Arrow; each is made when it is asked for, `.to_pandas()` makes it a data frame.

        Args:
            all_attempts: With the rows of steps that a later attempt did again.
        """
        from unbug.store import tables

        return tables(self._reader, all_attempts=all_attempts)

    def table(self, name: str) -> pa.Table:
        """One table, as Arrow.

        Raises:
            UsageError: there is no such table.
        """
        from unbug.errors import UsageError

        found = self.tables()
        if name not in found:
            raise UsageError(f"run {self.path.name!r} has no table {name!r}, only {', '.join(found)}")
        return found[name]

    def sql(self, query: str, *, rows: int = 1_000_000, timeout_s: float = 60.0) -> pa.Table:
        """Ask the tables in DuckDB's SQL, read-only.

        Raises:
            QueryError: the query is wrong, or takes too long. It comes at most a second late; if DuckDB is
                inside one call of one function then, a thread goes on with it, as a note of the error tells.
        """
        from unbug.store import query as ask

        return ask(self._reader, query, rows=rows, timeout_s=timeout_s)

    def findings(self, *, training: int | None = None) -> tuple[Finding, ...]:
        """What is wrong, first the one to fix first. A notebook shows them with their evidence."""
        from unbug.detect import diagnose

        live = self.status.state is RunState.RUNNING
        settings = rule_settings(resolve())
        diagnosis = diagnose(self._reader, live=live, only_training=training, settings=settings)
        found = Findings(diagnosis.findings)
        found.reader = self._reader
        return found

    def close(self) -> None:
        """Let go of its files."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        return card(self._reader)

    def __repr__(self) -> str:
        return (
            f"<run {self.run.name!r} {self.status.state.value}, {len(self.trainings)} trainings, {self.path}>"
        )

    def _one(self, wanted: Series | str) -> Series:
        from unbug.errors import UsageError

        if isinstance(wanted, Series):
            return wanted
        found = self._reader.find(name=wanted)
        if len(found) == 1:
            return found[0]
        if not found:
            names = sorted({one.name for one in self._reader.series()})
            raise UsageError(f"run {self.path.name!r} has no series {wanted!r}, only {', '.join(names)}")
        places = ", ".join(
            f"{one.place.path}{' ' + one.statistic if one.statistic else ''}" for one in found[:5]
        )
        raise UsageError(
            f"{len(found)} series are called {wanted!r}, at {places} …; take one of `run.series({wanted!r})`"
        )


def open_run(run: str | os.PathLike[str], *, dir: str | os.PathLike[str] | None = None) -> RunView:
    """Open a run to read.

    Args:
        run: Path, id, name or `@last`.
        dir: Folder of the runs; by default `$UNBUG_DIR` or the nearest `unbug-runs/`.
    Raises:
        RunNotFoundError, NotARunError, NewerFormatError: it cannot be opened.
    """
    from unbug.store import find_run, open_reader

    directory = resolve({"dir": None if dir is None else str(dir)}, spelling="").directory.value
    return RunView(open_reader(find_run(str(run), directory)))
