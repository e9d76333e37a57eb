"""`kill -9` at random moments: after each, the run opens and all that was flushed is there.

    python bench/crash.py [--kills 200] [--seed 0]

One process forks a writer for each kill; the writer flushes, rolls and merges as fast as it can and says over
a pipe how many rows each flush has brought to the file. The parent kills it at a random moment, then reads
the run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

from bars import holds

from unbug.store import collect, create_run, open_reader, open_writer, process_identity
from unbug.types import Place, RunState, Series, Status

COUNT = struct.Struct("<q")


def write_for_ever(path: Path, pipe: int) -> None:
    """The child: rows of three kinds, a flush each few, logs rolled after three flushes."""
    writer = open_writer(path, roll_flushes=3, disk_bytes=1_000_000)
    writer.status(Status(state=RunState.RUNNING, updated_ns=time.time_ns(), **process_identity()))
    place = Place(path="net", kind="module")
    scalar = writer.group([Series(name="a", place=place), Series(name="b", place=place)])
    blob = writer.group([Series(name="c", place=place)], kind="blob")
    step = 0
    while True:
        for _ in range(5):
            writer.row(scalar, (step / 3, -step), t_ns=step, training=0, step=step, phase=0)
            if step % 4 == 0:
                writer.row(blob, struct.pack("<q", step) * 9, t_ns=step, training=0, step=step)
            if step % 3 == 0:
                writer.event("console", {"text": str(step)}, t_ns=step)
            step += 1
        writer.flush()
        os.write(pipe, COUNT.pack(step))
        writer.maintain(budget_s=0.001)


def kill_once(directory: Path, wait_s: float) -> tuple[int, list[str]]:
    """Start a writer, kill it after `wait_s` from its first flush; returns the rows it flushed, and what is
    wrong."""
    path, _ = create_run(directory, name="crash")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            write_for_ever(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    said = os.read(reading, COUNT.size)
    time.sleep(wait_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 1 << 16):
        said += more
    os.close(reading)
    flushed = COUNT.unpack(said[-COUNT.size :])[0] if said else 0
    wrong = check(path, flushed)
    (collected,) = collect(path)  # And once more, after what was left has been merged.
    if collected.skipped or collected.said:
        wrong.append(f"gc: {collected}")
    return flushed, wrong + [f"after gc: {line}" for line in check(path, flushed)]


def check(path: Path, flushed: int) -> list[str]:
    """What is missing or wrong in a run of which `flushed` rows were acknowledged."""
    reader = open_reader(path)
    wrong = []
    for name, value in (("a", lambda step: step / 3), ("b", lambda step: -step)):
        (series,) = reader.find(name=name)
        points = reader.read(series)
        steps = points.step.tolist()
        if len(steps) < flushed or steps != list(range(len(steps))):
            wrong.append(f"{name}: {len(steps)} rows of {flushed}")
        if points.values.tolist() != [value(step) for step in steps]:
            wrong.append(f"{name}: wrong values")
        if reader.curve(series, points=50).count.sum() != len(steps):
            wrong.append(f"{name}: the curve counts other than {len(steps)} rows")
    found = [(step, blob) for _, step, blob in reader.blobs(reader.find(name="c")[0])]
    if found != [(step, struct.pack("<q", step) * 9) for step, _ in found]:
        wrong.append("c: wrong blobs")
    texts = [int(event.fields["text"]) for event in reader.events("console")]
    if len(texts) < (flushed + 2) // 3 or texts != list(range(0, 3 * len(texts), 3)):
        wrong.append(f"events: {len(texts)} of {(flushed + 2) // 3}")
    if reader.faults:
        wrong.append(f"faults: {reader.faults}")
    reader.close()
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    good, rows = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.kills):
            path = Path(folder) / str(number)
            flushed, wrong = kill_once(path, chance.uniform(0, 0.3) ** 2 * 3)
            states = {open_reader(one).status.state for one in path.iterdir() if one.is_dir()}
            if states != {RunState.KILLED}:
                wrong.append(f"states: {states}")
            good += not wrong
            rows += flushed
            for line in wrong:
                print(f"kill {number}: {line}", file=sys.stderr)
    print(f"{given.kills} kills, {rows} rows flushed before them")
    holds(
        "kill -9 at random moments: all that was flushed is there",
        good == given.kills,
        bar=f"{given.kills} of {given.kills}",
        measured=f"{good} of {given.kills}",
    )


if __name__ == "__main__":
    main()
