"""The documented tables of a run (docs/reference/tables.md), as Arrow, each made when it is first asked
for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from unbug.numerics import decode_histogram, derive
from unbug.store.schemas import SCHEMAS
from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.contract import Points
    from unbug.store.reader import RunReader

__all__ = ["Tables", "tables"]

_PHASES = ("train", "eval", "other")


class Tables(Mapping[str, pa.Table]):
    """The tables of a run by name. Kept once made; a later `refresh` of the reader does not change them."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader
        self._made: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._made:
            self._made[name] = _MAKERS[name](self._reader)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SCHEMAS)

    def __len__(self) -> int:
        return len(SCHEMAS)

    def __contains__(self, name: object) -> bool:
        return name in SCHEMAS


def tables(reader: RunReader) -> Tables:
    """The documented tables of a run."""
    return Tables(reader)


def _text(value: str) -> str:
    """Text that Arrow can hold: no halves of surrogate pairs."""
    return value.encode("utf-8", "replace").decode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)


def _fit(value: Any, kind: pa.DataType) -> Any:
    """A field of an event in a column's type; None where it does not fit."""
    if value is None:
        return None
    try:
        if pa.types.is_string(kind):
            return _text(value) if isinstance(value, str) else _json(value)
        if pa.types.is_boolean(kind):
            return bool(value)
        if pa.types.is_integer(kind):
            return int(value)
        if pa.types.is_floating(kind):
            return float(value)
        if pa.types.is_list(kind):
            return [_fit(one, kind.value_type) for one in value]
    except (TypeError, ValueError, OverflowError):
        return None
    return value


def _from_records(name: str, records: list[dict[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    columns = [[_fit(record.get(field.name), field.type) for record in records] for field in schema]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _wall(reader: RunReader, t_ns: NDArray[np.int64]) -> NDArray[Any]:
    return (t_ns + (reader.run.created_ns - reader.run.anchor_ns)).view("datetime64[ns]")


def _wall_one(reader: RunReader, t_ns: int) -> int:
    return t_ns + (reader.run.created_ns - reader.run.anchor_ns)


def _run(reader: RunReader) -> pa.Table:
    run, status = reader.run, reader.status
    record = {**asdict(status), **asdict(run), "facts": _json(run.facts), "state": status.state.value}
    record["created"] = run.created_ns
    record["ended"] = status.ended_ns
    record["errors"], record["warnings"] = status.findings.get("error"), status.findings.get("warning")
    record["notes"] = status.findings.get("note")
    return _from_records("run", [record])


def _trainings(reader: RunReader) -> pa.Table:
    return _from_records(
        "trainings",
        [{**asdict(one), "training": one.number, "facts": _json(one.facts)} for one in reader.trainings()],
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
    return _from_records("places", records)


def _series(reader: RunReader) -> pa.Table:
    return _from_records(
        "series",
        [
            {
                **_series_fields(one),
                "series": number,
                "unit": one.unit,
                "sampled": one.sampled,
                "training": one.place.training,
            }
            for number, one in enumerate(reader.series())
        ],
    )


def _series_fields(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "place": series.place.path,
        "statistic": series.statistic,
        "origin": series.origin,
    }


def _key_columns(reader: RunReader, points: Points) -> dict[str, Any]:
    phase = np.where((points.phase < 0) | (points.phase > 2), 2, points.phase)
    return {
        "training": points.training.astype(np.int32),
        "step": points.step,
        "micro": points.micro.astype(np.int32),
        "phase": pa.DictionaryArray.from_arrays(phase, pa.array(_PHASES)),
        "time": _wall(reader, points.t_ns),
        "user_step": pa.array(points.user_step, from_pandas=True),
        "attempt": points.attempt,
        "rank": points.rank,
    }


def _repeated(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([_text(text)], pa.string()))


def _stacked(name: str, chunks: list[dict[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    if not chunks:
        return schema.empty_table()
    parts = [pa.table({field.name: chunk[field.name] for field in schema}, schema=schema) for chunk in chunks]
    return pa.concat_tables(parts).unify_dictionaries()


def _scalars(reader: RunReader) -> pa.Table:
    inside = {id(one) for members in reader.summary_groups().values() for one in members.values()}
    chunks = []
    for number, series in enumerate(reader.series()):
        if id(series) in inside or reader.is_blob(series):
            continue
        points = reader.read(series)
        rows = len(points.step)
        if rows:
            texts = {name: _repeated(text, rows) for name, text in _series_fields(series).items()}
            values = {"series": np.full(rows, number, np.int32), "value": points.values}
            chunks.append({**texts, **values, **_key_columns(reader, points)})
    return _stacked("scalars", chunks)


def _summaries(reader: RunReader) -> pa.Table:
    chunks = []
    for (quantity, place), members in reader.summary_groups().items():
        read = {statistic: reader.read(members[statistic]) for statistic in STORED_STATISTICS}
        points = read["count"]
        rows = len(points.step)
        if rows == 0 or any(len(one.step) != rows for one in read.values()):
            continue  # A damaged block took some columns with it.
        stored = {statistic: one.values for statistic, one in read.items()}
        derived = {statistic: derive(statistic, stored) for statistic in DERIVED_STATISTICS}
        texts = {"quantity": _repeated(quantity, rows), "place": _repeated(place.path, rows)}
        values = {name: pa.array(array, from_pandas=True) for name, array in {**stored, **derived}.items()}
        chunks.append({**texts, **values, **_key_columns(reader, points)})
    return _stacked("summaries", chunks)


def _histograms(reader: RunReader) -> pa.Table:
    records = []
    for series in reader.series():
        if not series.name.endswith(".exponents") or not reader.is_blob(series):
            continue
        for training, step, blob in reader.blobs(series):
            try:
                histogram = decode_histogram(blob, training, step)
            except ValueError:
                continue
            quantity = series.name.removesuffix(".exponents")
            records.append(
                {
                    **asdict(histogram),
                    "exponent": histogram.first,
                    "quantity": quantity,
                    "place": series.place.path,
                }
            )
    return _from_records("histograms", records)


def _events(reader: RunReader) -> pa.Table:
    return _from_records(
        "events",
        [_event_fields(reader, event) | {"fields": _json(event.fields)} for event in reader.events()],
    )


def _event_fields(reader: RunReader, event: Any) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "time": _wall_one(reader, event.t_ns),
        "training": event.training,
        "step": event.step,
        "micro": event.micro,
        "phase": _PHASES[event.phase],
        "rank": event.rank,
        "attempt": event.attempt,
    }


def _of_kind(kind: str, name: str) -> Callable[[RunReader], pa.Table]:
    def make(reader: RunReader) -> pa.Table:
        return _from_records(
            name, [{**event.fields, **_event_fields(reader, event)} for event in reader.events(kind)]
        )

    return make


_MAKERS: dict[str, Callable[[RunReader], pa.Table]] = {
    "run": _run,
    "trainings": _trainings,
    "places": _places,
    "series": _series,
    "scalars": _scalars,
    "summaries": _summaries,
    "histograms": _histograms,
    "events": _events,
    "loss_calls": _of_kind("loss_call", "loss_calls"),
    "console": _of_kind("console", "console"),
}
