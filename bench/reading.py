"""How long a 2,000-point curve takes out of a run of ten million scalars, and out of a week of slow steps.

    python bench/reading.py [--scale 1.0]

Bars: <= 10 ms once the run is open; <= 60 ms cold, in a fresh process, above the imports. Each figure is the
median of several; `live` leaves the newest rows in the live log, `closed` has everything in segments.
Besides, how long opening takes and finding the loss in a run of 100,000 parameters with nine statistics each:
<= 1.5 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bars import at_most

from unbug.store import RunWriter, create_run, open_reader, open_writer
from unbug.types import STORED_STATISTICS, Place, Series

RESULTS = Path(__file__).parent / "results"
WARM_MS, COLD_MS = 10.0, 60.0

COLD = """
import sys, time
import numpy, unbug.store.reader, unbug.store.segment, unbug.store.curves
from pathlib import Path
start = time.perf_counter()
reader = unbug.store.reader.open_reader(Path(sys.argv[1]))
curve = reader.curve(reader.find(name=sys.argv[2])[0], points=2000)
print(time.perf_counter() - start, len(curve.mean), int(curve.count.sum()))
"""


MANY = """
import sys, time
import numpy, unbug.store.reader, unbug.store.segment, unbug.store.curves
from pathlib import Path
start = time.perf_counter()
reader = unbug.store.reader.open_reader(Path(sys.argv[1]))
curve = reader.curve(reader.find(name="loss.value", training=0)[0])
print(time.perf_counter() - start, len(reader.places()), int(curve.count.sum()))
"""
MANY_S = 1.5


class FakeClock:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def _group(writer: RunWriter, series: int) -> int:
    place = Place(path="", kind="loop")
    return writer.group([Series(name=f"x{at}", place=place, origin="user") for at in range(series)])


def fill(path: Path, *, rows: int, series: int, flush_rows: int, step_ns: int) -> RunWriter:
    """Write rows of noise, flushing every `flush_rows` and maintaining as the background thread does."""
    import numpy as np

    clock = FakeClock()
    writer = open_writer(path, clock_ns=clock)
    group = _group(writer, series)
    noise = np.random.default_rng(0).normal(size=(4096, series))
    ready = [tuple(row) for row in noise.tolist()]
    for first in range(0, rows, flush_rows):
        for step in range(first, min(first + flush_rows, rows)):
            writer.row(
                group, ready[step & 4095], t_ns=step * step_ns + step % 977, training=0, step=step, phase=0
            )
        clock.now = first * step_ns
        writer.flush()
        writer.maintain(budget_s=0.05)
    return writer


def fill_many(path: Path, parameters: int) -> None:
    """Statistics of many parameters at one step, and a loss."""
    writer = open_writer(path)
    for order in range(parameters):
        place = Place(
            path=f"layers.{order // 10}.block.{order % 10}.weight",
            kind="parameter",
            training=0,
            shape=(64, 64),
            dtype="float32",
            parent=f"layers.{order // 10}.block.{order % 10}",
            order=order,
        )
        group = writer.group([Series(name=f"weight.{one}", place=place) for one in STORED_STATISTICS])
        writer.row(group, [1.0] * len(STORED_STATISTICS), t_ns=order, training=0, step=0, phase=0)
    loss = writer.group([Series(name="loss.value", place=Place(path="loss", kind="loss", training=0))])
    for step in range(100):
        writer.row(loss, [1.0], t_ns=step, training=0, step=step, phase=0)
    writer.close(deadline_s=60.0)


def measure_many(path: Path, parameters: int) -> float:
    """Median seconds to open that run in a fresh process and to find its loss."""
    found = []
    for _ in range(3):
        command = [sys.executable, "-c", MANY, str(path)]
        seconds, places, rows = subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.split()
        assert (int(places), int(rows)) == (parameters + 1, 100), (places, rows)
        found.append(float(seconds))
    return statistics.median(found)


def measure(path: Path, rows: int) -> dict[str, float]:
    """Median warm and cold milliseconds for a curve of 2,000 points."""
    reader = open_reader(path)
    warm = []
    for name in ["x0"] * 15:
        start = time.perf_counter()
        curve = reader.curve(reader.find(name=name)[0], points=2000)
        warm.append(time.perf_counter() - start)
    assert int(curve.count.sum()) == rows, (int(curve.count.sum()), rows)
    assert 500 <= len(curve.mean) <= 2100, len(curve.mean)
    start = time.perf_counter()
    reader.refresh()
    refresh = time.perf_counter() - start
    reader.close()
    cold = []
    for _ in range(5):
        command = [sys.executable, "-c", COLD, str(path), "x0"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cold.append(float(done.stdout.split()[0]))
    return {
        "first_warm_ms": 1e3 * warm[0],
        "warm_ms": 1e3 * statistics.median(warm),
        "cold_ms": 1e3 * statistics.median(cold),
        "refresh_ms": 1e3 * refresh,
        "points": len(curve.mean),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    scale = parser.parse_args().scale
    million = int(1e6 * scale)
    week = int(604_800 * scale)
    cases = {
        "10 series x 1 M rows": {"rows": million, "series": 10, "flush_rows": 500, "step_ns": 1_000_000},
        "1 series x 10 M rows": {"rows": 10 * million, "series": 1, "flush_rows": 5000, "step_ns": 100_000},
        "7 days at 1 step/s": {"rows": week, "series": 10, "flush_rows": 1, "step_ns": 1_000_000_000},
    }
    found: dict[str, dict[str, float]] = {}
    print(f"{'run':24} {'state':7} {'warm ms':>8} {'cold ms':>8} {'files':>6} {'MB':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for case, given in cases.items():
            path, _ = create_run(Path(folder), name="bench")
            start = time.perf_counter()
            writer = fill(path, **given)
            wrote = time.perf_counter() - start
            for state in ("live", "closed"):
                if state == "closed":
                    writer.close()
                figures = measure(path, given["rows"])
                files = list(writer.folder.iterdir())
                size = sum(one.stat().st_size for one in files)
                figures |= {"files": len(files), "bytes": size, "write_s": wrote, **given}
                figures["bytes_a_scalar"] = size / given["rows"] / given["series"]
                found[f"{case}, {state}"] = figures
                print(
                    f"{case:24} {state:7} {figures['warm_ms']:8.2f} {figures['cold_ms']:8.2f} {len(files):6} "
                    f"{size / 1e6:7.1f}",
                    flush=True,
                )
        path, _ = create_run(Path(folder), name="many")
        parameters = int(1e5 * scale)
        fill_many(path, parameters)
        many_s = measure_many(path, parameters)
    at_most(f"opening {parameters:,} parameters", many_s, MANY_S, unit="s", note="median of 3, cold")
    for case, figures in found.items():
        at_most(f"reading, open run, {case}", figures["warm_ms"], WARM_MS, unit="ms", note="median of 15")
        at_most(f"reading, cold, {case}", figures["cold_ms"], COLD_MS, unit="ms", note="median of 5")
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(
        {"bars_ms": [WARM_MS, COLD_MS], "scale": scale, "found": found, "many_s": many_s}, indent=1
    )
    (RESULTS / "reading.json").write_text(text)


if __name__ == "__main__":
    main()
