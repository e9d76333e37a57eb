"""One run at a glance, as data: what `unbug show` prints and what `--json` gives."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.cli.picture import reduced
from unbug.cli.ranges import ranges
from unbug.cli.taken import taken
from unbug.types import Phase, RunState

if TYPE_CHECKING:
    from unbug.store import Reader
    from unbug.types import Attempt

__all__ = ["overview"]

_COLUMNS = 40
"""As many means as a terminal line has room for."""


def overview(reader: Reader) -> dict[str, Any]:
    """State, duration, trainings with their last losses, findings as they were stated, coverage, size."""
    run, status = reader.run, reader.status
    end_ns = status.ended_ns or status.updated_ns or run.created_ns
    size = _size(reader.path)
    facts = dict(run.facts)
    for event in reader.events("environment"):
        facts.update(event.fields)
    coverage = reader.events("coverage")
    return {
        "id": run.id,
        "name": run.name,
        "path": str(reader.path),
        "state": status.state.value,
        "exit_code": status.exit_code,
        "message": status.message,
        "created_ns": run.created_ns,
        "duration_s": max(end_ns - run.created_ns, 0) / 1e9,
        "tags": list(run.tags),
        "command": facts.get("command"),
        "facts": facts,
        "trainings": [_training(reader, one) for one in reader.trainings()],
        "media": _media(reader),
        "user_series": sorted(reader.names(origin="user")),
        **taken(reader),
        "findings": dict(status.findings),
        "attempts": [_attempt(one) for one in reader.attempts()],
        "stated": _stated(reader),
        "crash": _crash(reader),
        "faults": [dict(event.fields) for event in reader.events("fault")],
        "lost": list(status.lost),
        "coverage": dict(coverage[-1].fields) if coverage else {},
        "size_bytes": size,
        "live": status.state is RunState.RUNNING,
    }


def _size(path: Path) -> int:
    """Bytes of a run; its files may be merged away meanwhile, and links lead elsewhere."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "attempt": one.number,
        "state": one.state.value,
        "started_ns": one.started_ns,
        "ended_ns": one.ended_ns,
        "exit_code": one.exit_code,
        "message": one.message,
        "hosts": list(one.hosts),
        "ranks": list(one.ranks),
    }


def _stated(reader: Reader) -> list[dict[str, Any]]:
    """Findings as they were stated live; what several attempts stated once, as the last one did."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for event in reader.events("finding"):
        fields = dict(event.fields)
        found[tuple(str(fields.get(name)) for name in ("rule", "place", "training"))] = fields
    return list(found.values())


def _crash(reader: Reader) -> dict[str, Any] | None:
    """What ended the last attempt; those before it were gone on with."""
    last = reader.attempts()[-1].number
    crashes = (event.fields for event in reversed(reader.events("crash")) if event.attempt == last)
    return next((dict(fields) for fields in crashes), None)


def _media(reader: Reader) -> dict[str, dict[str, Any]]:
    """What was logged beside numbers: by name, its kind, how many, and the last step."""
    from unbug.store import RunReader, media_items

    found: dict[str, dict[str, Any]] = {}
    for item in media_items(reader) if isinstance(reader, RunReader) else ():
        one = found.setdefault(item.name, {"kind": item.kind, "count": 0, "last_step": item.step})
        one["count"] += 1
        one["last_step"] = item.step
    return found


def _training(reader: Reader, training: Any) -> dict[str, Any]:
    losses = _values(reader, "loss.value", training.number)
    times = _values(reader, "step.time_s", training.number)
    ordered = sorted(times)
    return {
        "number": training.number,
        "steps": training.steps,
        "optimizers": list(training.optimizers),
        "parameters": training.parameters,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "lowest_loss": min(losses) if losses else None,
        "step_time_s": ordered[len(ordered) // 2] if ordered else None,
        "losses": reduced(losses, _COLUMNS),
        "evaluations": _evaluations(reader, training.number),
        "ranges": ranges(reader, training.number),
    }


def _evaluations(reader: Reader, training: int) -> list[dict[str, Any]]:
    """What loss calls of evaluations gave, where the program logs nothing itself: one for each call site."""
    import numpy as np

    found = []
    for name in ("call.accuracy", "call.error", "call.value"):
        for series in reader.find(name=name, origin="auto", training=training):
            points = reader.read(series, training=training)
            values = points.values[(points.phase == Phase.EVAL) & np.isfinite(points.values)]
            if not len(values):
                continue
            file, line = series.place.source or ("", 0)
            found.append(
                {
                    "name": name.partition(".")[2],
                    "function": series.statistic,
                    "file": file,
                    "line": line,
                    "calls": len(values),
                    "first": float(values[0]),
                    "last": float(values[-1]),
                    "values": reduced(values.tolist(), _COLUMNS),
                }
            )
    return found


def _values(reader: Reader, name: str, training: int) -> list[float]:
    """Bucket means over the whole training; only what is finite, so that JSON has it."""
    found: list[float] = []
    for series in reader.find(name=name, origin="auto", training=training):
        curve = reader.curve(series, points=400, training=training)
        found += [float(value) for value in curve.mean if math.isfinite(value)]
    return found
