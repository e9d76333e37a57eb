"""What `run.log` of ten scalars costs, side by side with TensorBoard, W&B offline and Trackio.

    python bench/scalars.py [--repeats 5]

Every figure comes from a fresh process; the tools take turns, so that a busy machine hits all alike; the
least of the repeats is stated, since all noise adds. `call` is the time of the loop that logs; `all` goes on
until everything is flushed and closed. Each call logs ten scalars under names of its own. For `unbug.run`
start-up and the diagnosis at the end belong to no scalar: `all` ends when the background thread and the last
flush have brought the rows to disk.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bars import at_least, at_most

RESULTS = Path(__file__).parent / "results"
NAMES = [f"group/name_{at}" for at in range(10)]
CALL_US, ALL_US, FAST_BYTES, SLOW_BYTES = 0.5, 0.8, 12, 40
PEERS = {"tensorboard": (40, "TensorBoard"), "wandb": (30, "W&B offline"), "trackio": (5, "Trackio")}


def values(steps: int) -> list[dict[str, float]]:
    """Noise, ready made: no tool is charged for making it."""
    import random

    chance = random.Random(0)
    return [{name: chance.random() for name in NAMES} for _ in range(steps)]


def log_unbug(folder: Path, steps: int) -> tuple[float, float]:
    """The public API, with all of its threads."""
    import unbug

    os.environ["UNBUG_DIR"] = str(folder / "runs")
    data = values(steps)
    run = unbug.run(name="bench", quiet=True)
    run.log(data[0])
    time.sleep(0.7)
    start = time.perf_counter()
    log = run.log
    for record in data:
        log(record)
    called = time.perf_counter()
    writer = run._recording.writer  # The only way to flush without closing.
    writer.flush()
    done = time.perf_counter()
    run.close()
    return called - start, done - start


def log_store(folder: Path, steps: int) -> tuple[float, float]:
    """The store alone, with the thread that flushes it twice a second."""
    from unbug.store import create_run, open_writer
    from unbug.types import Place, Series

    path, _ = create_run(folder, name="bench")
    writer = open_writer(path)
    place = Place(path="", kind="loop")
    group = writer.group([Series(name=name, place=place, origin="user") for name in NAMES])
    data = [tuple(record.values()) for record in values(steps)]
    stop = threading.Event()

    def tend() -> None:
        while not stop.wait(0.5):
            writer.flush()
            writer.maintain()

    thread = threading.Thread(target=tend)
    thread.start()
    writer.row(group, data[0], t_ns=0)
    writer.flush()
    start = time.perf_counter()
    row, clock = writer.row, time.monotonic_ns
    for step, record in enumerate(data):
        row(group, record, t_ns=clock(), training=0, step=step, phase=0)
    called = time.perf_counter()
    writer.close()
    done = time.perf_counter()
    stop.set()
    thread.join()
    return called - start, done - start


def log_tensorboard(folder: Path, steps: int) -> tuple[float, float]:
    from torch.utils.tensorboard import SummaryWriter

    data = values(steps)
    writer = SummaryWriter(str(folder))
    start = time.perf_counter()
    for step, record in enumerate(data):
        for name, value in record.items():
            writer.add_scalar(name, value, step)
    called = time.perf_counter()
    writer.close()
    return called - start, time.perf_counter() - start


def log_wandb(folder: Path, steps: int) -> tuple[float, float]:
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder)}
    import wandb

    data = values(steps)
    run = wandb.init(project="bench", dir=str(folder), settings=wandb.Settings(console="off"))
    start = time.perf_counter()
    for record in data:
        run.log(record)
    called = time.perf_counter()
    run.finish()
    return called - start, time.perf_counter() - start


def log_trackio(folder: Path, steps: int) -> tuple[float, float]:
    os.environ |= {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}
    import trackio

    data = values(steps)
    trackio.init(project="bench", embed=False)
    start = time.perf_counter()
    for record in data:
        trackio.log(record)
    called = time.perf_counter()
    trackio.finish()
    return called - start, time.perf_counter() - start


TOOLS: dict[str, tuple[Callable[[Path, int], tuple[float, float]], int]] = {
    "unbug": (log_unbug, 50_000),
    "store": (log_store, 50_000),
    "tensorboard": (log_tensorboard, 2_000),
    "wandb": (log_wandb, 2_000),
    "trackio": (log_trackio, 2_000),
}


def measure(tool: str) -> tuple[float, float] | None:
    """Microseconds a scalar, call and all, in a fresh process; None if the tool fails there."""
    steps = TOOLS[tool][1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one", tool, "--folder", folder]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=100)
    if done.returncode:
        print(f"{tool} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    call, whole = map(float, done.stdout.split()[-2:])
    return 1e6 * call / steps / len(NAMES), 1e6 * whole / steps / len(NAMES)


def bytes_a_scalar(*, steps: int, step_ns: int, flush_rows: int) -> float:
    """Everything on disk after close, with nothing merged at the end, over the number of scalars."""
    from unbug.store import create_run, open_writer
    from unbug.types import Place, Series

    with tempfile.TemporaryDirectory() as folder:
        path, _ = create_run(Path(folder), name="bench")
        writer = open_writer(path)
        place = Place(path="", kind="loop")
        group = writer.group([Series(name=name, place=place, origin="user") for name in NAMES])
        for step, record in enumerate(values(steps)):
            jitter = hash((step, "t")) % (step_ns // 10)
            writer.row(
                group, tuple(record.values()), t_ns=step * step_ns + jitter, training=0, step=step, phase=0
            )
            if step % flush_rows == flush_rows - 1:
                writer.flush()
                writer.maintain()
        writer.close()
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) / steps / len(NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        log, steps = TOOLS[given.one]
        print(*log(given.folder, steps))
        return
    there = [tool for tool in TOOLS if tool in ("unbug", "store") or importlib.util.find_spec(tool)]
    found: dict[str, list[tuple[float, float]]] = {tool: [] for tool in there}
    for _ in range(given.repeats):
        for tool in list(found):
            figures = measure(tool)
            if figures is None:
                del found[tool]
            else:
                found[tool].append(figures)
    least = {tool: tuple(min(column) for column in zip(*runs, strict=True)) for tool, runs in found.items()}
    print(f"{'tool':14} {'us/scalar, call':>16} {'us/scalar, all':>16}   least of {given.repeats}")
    for tool, (call, whole) in least.items():
        print(f"{tool:14} {call:16.3f} {whole:16.3f}")
    for tool in set(PEERS) - set(least):
        print(f"{tool}: not installed, or it failed here; not compared")
    if "unbug" in least:
        call, whole = least["unbug"]
        at_most("logging, run.log, on the call", call, CALL_US, unit="us/scalar")
        at_most("logging, run.log, all in", whole, ALL_US, unit="us/scalar")
        for tool, (times, title) in PEERS.items():
            if tool in least:
                at_least(f"logging, against {title}, all in", least[tool][1] / whole, times, unit="x")
    fast = bytes_a_scalar(steps=30_000, step_ns=1_000_000, flush_rows=500)
    short = bytes_a_scalar(steps=2_000, step_ns=1_000_000, flush_rows=500)
    slow = bytes_a_scalar(steps=1_800, step_ns=1_000_000_000, flush_rows=1)
    at_most("logging, bytes at 1,000 steps/s", fast, FAST_BYTES, unit="B/scalar", note="30 s")
    at_most("logging, bytes at 1,000 steps/s, short run", short, FAST_BYTES, unit="B/scalar", note="2 s")
    at_most("logging, bytes at 1 step/s", slow, SLOW_BYTES, unit="B/scalar", note="half an hour, unmerged")
    RESULTS.mkdir(exist_ok=True)
    result = {"us_a_scalar": found, "bytes_a_scalar": {"fast": fast, "short": short, "slow": slow}}
    (RESULTS / "scalars.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
