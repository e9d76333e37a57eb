"""What the trackers wrote, read from their files."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Points = dict[str, list[tuple[float | None, float]]]


def events_of(folder: Path) -> tuple[Points, set[str]]:
    """What the event files of a folder hold: scalars, and the tags of all else."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars: Points = {}
    others: set[str] = set()
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        held = EventAccumulator(str(file))
        held.Reload()
        tags = held.Tags()
        others |= {*tags["images"], *tags["histograms"], *tags["tensors"]}
        for tag in tags["scalars"]:
            scalars[f"{file.parent.name}:{tag}"] = [(float(e.step), e.value) for e in held.Scalars(tag)]
    return scalars, others


def wandb_of(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """History and configuration in the file of an offline run; without times, and names of random folders."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    history, config = [], {}
    for data in _records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = {
                ".".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.history.item
            }
            history.append(
                {key: items[key] for key in sorted(items) if key not in ("_timestamp", "_runtime")}
            )
        for update in (*record.config.update, *record.run.config.update):
            config[update.key] = json.loads(update.value_json)
    return history, {key: one for key, one in config.items() if key != "_wandb"}


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, behind a header of seven bytes."""
    at, parts = 7, []
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        parts.append(data[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def mlflow_of(folder: Path) -> tuple[Points, dict[str, str], set[str]]:
    """Metrics, parameters and artifacts of the one run in a folder of MLflow's."""
    (metrics,) = folder.glob("mlruns/*/*/metrics")
    points = {
        str(file.relative_to(metrics)): [
            (float(line.split()[2]), float(line.split()[1])) for line in file.read_text().splitlines()
        ]
        for file in metrics.rglob("*")
        if file.is_file()
    }
    params = {file.name: file.read_text() for file in (metrics.parent / "params").iterdir()}
    kept = metrics.parent / "artifacts"
    return points, params, {str(file.relative_to(kept)) for file in kept.rglob("*") if file.is_file()}


def trackio_of(folder: Path) -> list[tuple[int, float]]:
    (file,) = folder.glob("trackio/demo*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("select step, metrics from metrics order by step").fetchall()
    return [(step, json.loads(metrics)["loss"]) for step, metrics in rows]
