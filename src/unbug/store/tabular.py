"""The documented tables of a run (docs/reference/tables.md), as Arrow, each made when it is first asked
for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from unbug.store.from_libraries import checkpoint_records, hyperparameter_records
from unbug.store.mediaview import media_items
from unbug.store.records import from_records, json_text
from unbug.store.schemas import SCHEMAS
from unbug.store.values import PHASES, histograms, scalars, series_fields, summaries

if TYPE_CHECKING:
    from unbug.store.reader import RunReader

__all__ = ["Tables", "tables"]


class Tables(Mapping[str, pa.Table]):
    """The tables of a run by name. Kept once made; a later `refresh` of the reader does not change them."""

    def __init__(self, reader: RunReader, *, all_attempts: bool = False) -> None:
        self._reader, self._all_attempts = reader, all_attempts
        self._made: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._made:
            if name in _OF_VALUES:
                self._made[name] = _OF_VALUES[name](self._reader, all_attempts=self._all_attempts)
            else:
                self._made[name] = _MAKERS[name](self._reader)
        return self._made[name]

    def schema(self, name: str) -> pa.Schema:
        """Columns of a table, which need not be made for that."""
        return SCHEMAS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SCHEMAS)

    def __len__(self) -> int:
        return len(SCHEMAS)

    def __contains__(self, name: object) -> bool:
        return name in SCHEMAS


def tables(reader: RunReader, *, all_attempts: bool = False) -> Tables:
    """The documented tables of a run.

    Args:
        all_attempts: With the rows of steps that a later attempt did again.
    """
    return Tables(reader, all_attempts=all_attempts)


def _wall_one(reader: RunReader, t_ns: int) -> int:
    return t_ns + (reader.run.created_ns - reader.run.anchor_ns)


def _run(reader: RunReader) -> pa.Table:
    run, status = reader.run, reader.status
    record = {**asdict(status), **asdict(run), "facts": json_text(run.facts), "state": status.state.value}
    record["created"] = run.created_ns
    record["ended"] = status.ended_ns
    record["errors"], record["warnings"] = status.findings.get("error"), status.findings.get("warning")
    record["notes"] = status.findings.get("note")
    return from_records("run", [record])


def _attempts(reader: RunReader) -> pa.Table:
    records = [
        {
            **asdict(one),
            "attempt": one.number,
            "state": one.state.value,
            "started": one.started_ns,
            "ended": one.ended_ns,
        }
        for one in reader.attempts()
    ]
    return from_records("attempts", records)


def _trainings(reader: RunReader) -> pa.Table:
    return from_records(
        "trainings",
        [
            {**asdict(one), "training": one.number, "facts": json_text(one.facts)}
            for one in reader.trainings()
        ],
    )


def _places(reader: RunReader) -> pa.Table:
    records = []
    for place in reader.places():
        file, line = place.source or (None, None)
        records.append(
            {
                **asdict(place),
                "place": place.path,
                "source_file": file,
                "source_line": line,
                "position": place.order,
            }
        )
    return from_records("places", records)


def _series(reader: RunReader) -> pa.Table:
    return from_records(
        "series",
        [
            {
                **series_fields(one),
                "series": number,
                "unit": one.unit,
                "sampled": one.sampled,
                "training": one.place.training,
            }
            for number, one in enumerate(reader.series())
        ],
    )


def _events(reader: RunReader) -> pa.Table:
    return from_records(
        "events",
        [_event_fields(reader, event) | {"fields": json_text(event.fields)} for event in reader.events()],
    )


def _event_fields(reader: RunReader, event: Any) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "time": _wall_one(reader, event.t_ns),
        "training": event.training,
        "step": event.step,
        "micro": event.micro,
        "phase": PHASES[event.phase],
        "rank": event.rank,
        "attempt": event.attempt,
    }


def _of_kind(kind: str, name: str) -> Callable[[RunReader], pa.Table]:
    def make(reader: RunReader) -> pa.Table:
        return from_records(
            name, [{**event.fields, **_event_fields(reader, event)} for event in reader.events(kind)]
        )

    return make


def _media(reader: RunReader) -> pa.Table:
    records = [
        {
            "time": one.time_ns,
            "training": one.training,
            "step": one.step,
            "micro": 0,
            "phase": PHASES[one.phase],
            "rank": one.rank,
            "attempt": one.attempt,
            "name": one.name,
            "media": one.kind,
            "index": one.index,
            "caption": one.caption,
            "user_step": one.user_step,
            "file": one.file,
            "size_bytes": one.size_bytes,
            "kept": one.kept,
            "preview": one.fields.get("preview"),
            "facts": json_text(
                {key: value for key, value in one.fields.items() if key not in ("caption", "preview")}
            ),
        }
        for one in media_items(reader)
    ]
    return from_records("media", records)


def _records_of(
    kind: str, name: str, records: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]
) -> Callable[[RunReader], pa.Table]:
    def make(reader: RunReader) -> pa.Table:
        found = [
            {**record, **_event_fields(reader, event)}
            for event in reader.events(kind)
            for record in records(event.fields)
        ]
        return from_records(name, found)

    return make


_MAKERS: dict[str, Callable[[RunReader], pa.Table]] = {
    "run": _run,
    "attempts": _attempts,
    "trainings": _trainings,
    "places": _places,
    "series": _series,
    "events": _events,
    "loss_calls": _of_kind("loss_call", "loss_calls"),
    "hyperparameters": _records_of("hyperparameters", "hyperparameters", hyperparameter_records),
    "checkpoints": _records_of("checkpoint", "checkpoints", checkpoint_records),
    "media": _media,
    "console": _of_kind("console", "console"),
}
_OF_VALUES = {"scalars": scalars, "summaries": summaries, "histograms": histograms}
