"""The tables of values: scalars, summaries of tensors, histograms."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from unbug.numerics import NARROW_TYPES, decode_histogram, derive, range_shares
from unbug.store.records import arrow_text, from_records
from unbug.store.schemas import SCHEMAS
from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS, Histogram, Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.store.contract import Points
    from unbug.store.reader import RunReader

__all__ = ["PHASES", "histograms", "scalars", "series_fields", "summaries"]

PHASES = ("train", "eval", "other")


def series_fields(series: Series) -> dict[str, Any]:
    """What names a series in every table."""
    return {
        "name": series.name,
        "place": series.place.path,
        "statistic": series.statistic,
        "origin": series.origin,
    }


def _wall(reader: RunReader, t_ns: NDArray[np.int64]) -> NDArray[Any]:
    return (t_ns + (reader.run.created_ns - reader.run.anchor_ns)).view("datetime64[ns]")


def _key_columns(reader: RunReader, points: Points) -> dict[str, Any]:
    phase = np.where((points.phase < 0) | (points.phase > 2), 2, points.phase)
    return {
        "training": points.training.astype(np.int32),
        "step": points.step,
        "micro": points.micro.astype(np.int32),
        "phase": pa.DictionaryArray.from_arrays(phase, pa.array(PHASES)),
        "time": _wall(reader, points.t_ns),
        "user_step": pa.array(points.user_step, from_pandas=True),
        "attempt": points.attempt,
        "rank": points.rank,
    }


def _repeated(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([arrow_text(text)], pa.string()))


def _stacked(name: str, chunks: list[dict[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    if not chunks:
        return schema.empty_table()
    parts = [pa.table({field.name: chunk[field.name] for field in schema}, schema=schema) for chunk in chunks]
    return pa.concat_tables(parts).unify_dictionaries()


def scalars(reader: RunReader, *, all_attempts: bool) -> pa.Table:
    """The table `scalars`."""
    inside = {id(one) for members in reader.summary_groups().values() for one in members.values()}
    chunks = []
    for number, series in enumerate(reader.series()):
        if id(series) in inside or reader.is_blob(series):
            continue
        points = reader.read(series, all_attempts=all_attempts)
        rows = len(points.step)
        if rows:
            texts = {name: _repeated(text, rows) for name, text in series_fields(series).items()}
            values = {"series": np.full(rows, number, np.int32), "value": points.values}
            chunks.append({**texts, **values, **_key_columns(reader, points)})
    return _stacked("scalars", chunks)


def summaries(reader: RunReader, *, all_attempts: bool) -> pa.Table:
    """The table `summaries`."""
    chunks = []
    for (quantity, place), members in reader.summary_groups().items():
        read = {
            statistic: reader.read(members[statistic], all_attempts=all_attempts)
            for statistic in STORED_STATISTICS
        }
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


def histograms(reader: RunReader, *, all_attempts: bool) -> pa.Table:
    """The table `histograms`."""
    records = []
    for series in reader.series():
        if not series.name.endswith(".exponents") or not reader.is_blob(series):
            continue
        for training, step, blob in reader.blobs(series, all_attempts=all_attempts):
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
                    **_lost(histogram),
                }
            )
    return from_records("histograms", records)


def _lost(histogram: Histogram) -> dict[str, float]:
    """Shares that each narrower type would round to zero, or could not hold."""
    found = {}
    for kind in NARROW_TYPES:
        shares = range_shares(histogram, kind)
        found[f"{kind}_underflow"], found[f"{kind}_overflow"] = shares.underflow, shares.overflow
    return found
