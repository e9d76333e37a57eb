"""What watching costs, by the public API with its defaults: `cost.py [--model NAME] [--pairs N] [--block N]`.

For each model one process, pinned to one core with all its threads, so that unbug's background thread is
paid for too. Once the allowance of the first steps is spent, rounds of three blocks follow in random order:
watched (`on`), with every patch of unbug taken out (`off`), and once more so (`control`). The cost of a round
is its `on` block over its `off` block, less what the background thread happened to do in either, times one
plus the share of the background thread over a long stretch that is watched without a gap. The same is done
with the processor time of the training's thread, which says more than wall time on a busy machine.
`--full` is the issue's bar to the letter: blocks of 50 steps, which takes hours for the larger two.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

__all__ = ["Switch", "measure"]

RESULTS = Path(__file__).parent / "results"
PAIRS = 40
BLOCKS = {"mlp": 50, "resnet": 2, "transformer": 2}
WARM_STEPS = {"mlp": 450, "resnet": 24, "transformer": 24}
STRETCH_S = {"mlp": 8.0, "resnet": 15.0, "transformer": 15.0}
RATIO, TAIL_RATIO, START_S, CLOSE_S, MEMORY_MB = 1.02, 1.10, 0.3, 1.0, 64.0
RESAMPLES = 4000


class Switch:
    """Takes every patch out of torch and puts it back between steps, without the recorder noticing the gap.

    Args:
        pairs: Functions that were tapped, with their codes, as `noting_taps` collected them.
    """

    def __init__(self, pairs: Sequence[tuple[FunctionType, Any]], steps: Any) -> None:
        self._steps = steps
        bare = {}
        for _, tapped in pairs:
            bare[id(tapped.code)] = tapped.original
            bare[id(tapped.inner)] = tapped.original_inner
        functions = {id(function): function for function, _ in pairs}
        # What tapped functions made, such as the wrapper of each optimizer class's `step`.
        for thing in gc.get_objects():
            if type(thing) is FunctionType and id(thing.__code__) in bare:
                functions[id(thing)] = thing
        self._rows = [(function, bare.get(id(function.__code__))) for function in functions.values()]
        self._rows = [
            (function, code if code is not None else function.__code__) for function, code in self._rows
        ]
        self._saved: list[tuple[FunctionType, Any]] = []
        self._since = 0
        self.is_on = True
        self.functions = len(self._rows)

    def turn(self, *, on: bool) -> None:
        """Watch from here on, or do not."""
        if on and not self.is_on:
            for function, code in self._saved:
                function.__code__ = code
            if self._steps._last_end:
                self._steps._last_end += time.perf_counter_ns() - self._since
        elif not on and self.is_on:
            self._saved = [(function, function.__code__) for function, _ in self._rows]
            for function, code in self._rows:
                function.__code__ = code
            self._since = time.perf_counter_ns()
        self.is_on = on


@contextmanager
def noting_taps() -> Iterator[list[tuple[FunctionType, Any]]]:
    """Collect what the hub taps."""
    from unbug.hooks import table

    found: list[tuple[FunctionType, Any]] = []
    tap = table.Table.tap

    def noting(self: Any, name: str, what: str, guard: str, function: FunctionType, tapped: Any) -> None:
        found.append((function, tapped))
        tap(self, name, what, guard, function, tapped)

    table.Table.tap = noting  # type: ignore[method-assign]
    try:
        yield found
    finally:
        table.Table.tap = tap  # type: ignore[method-assign]


def threads() -> set[str]:
    """Numbers of this process's threads, those unknown to `threading` too."""
    return {path.name for path in Path("/proc/self/task").iterdir()}


def peak_mb() -> float:
    """Largest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


Times = list[tuple[float, float, float]]
"""Of each step: wall seconds, processor seconds of this thread, and those of the background thread."""


def timed(step: Callable[[], Any], count: int, clock: Callable[[], int]) -> Times:
    """Time some steps; `clock` tells the nanoseconds that the background thread ran."""
    times = []
    before = clock()
    for _ in range(count):
        own, start = time.thread_time(), time.perf_counter()
        step()
        wall, own = time.perf_counter() - start, time.thread_time() - own
        after = clock()
        times.append((wall, own, (after - before) / 1e9))
        before = after
    return times


def measure(model: str, *, pairs: int, block: int) -> dict[str, Any]:
    """Run the blocks in this process; returns the figures."""
    import models  # type: ignore[import-not-found]
    import torch

    torch.set_num_threads(1)
    step = models.MODELS[model]()
    for _ in range(20 if model == "mlp" else 3):
        step()
    bare_peak = peak_mb()
    known = threads()
    import unbug

    with tempfile.TemporaryDirectory() as folder, noting_taps() as taps:
        start, start_cpu = time.perf_counter(), time.thread_time()
        session = unbug.run(dir=folder, quiet=True)
        start_s, start_cpu_s = time.perf_counter() - start, time.thread_time() - start_cpu
        recording: Any = session._recording
        recorder = recording.observer._recorder
        (thread,) = threads() - known
        ran = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)

        def clock() -> int:
            return int(os.pread(ran, 64, 0).split()[0])

        warm = [wall for wall, *_ in timed(step, WARM_STEPS[model], clock)]
        left_s = recorder._core.budget.allowance_ns / 1e9
        recorder._core.budget.allowance_ns = 0
        switch = Switch(taps, recorder._steps)
        samples: dict[str, list[Times]] = {"on": [], "off": [], "control": []}
        draw = random.Random(7)
        accounted = 0.0
        for _ in range(pairs):
            for kind in draw.sample(list(samples), 3):
                switch.turn(on=kind == "on")
                before = recorder.coverage()["accounted_s"]
                samples[kind].append(timed(step, block, clock))
                accounted += recorder.coverage()["accounted_s"] - before
        switch.turn(on=True)
        began, ran_before, stretch = time.perf_counter(), clock(), 0
        while time.perf_counter() - began < STRETCH_S[model]:
            step()
            stretch += 1
        background = (clock() - ran_before) / 1e9 / (time.perf_counter() - began)
        watched_peak = peak_mb()
        os.close(ran)
        start = time.perf_counter()
        session.close()
        close_s = time.perf_counter() - start
        coverage = _coverage(session.path)
        files = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    figures = summary(samples, background)
    on_s = sum(wall for one in samples["on"] for wall, *_ in one)
    return {
        "model": model,
        "pairs": pairs,
        "block": block,
        **figures,
        "background_share": background,
        "accounted_share": accounted / on_s,
        "warm_steps": len(warm),
        "warm_mean_ms": 1e3 * sum(warm) / len(warm),
        "allowance_left_s": left_s,
        "functions_switched": switch.functions,
        "start_s": start_s,
        "start_cpu_s": start_cpu_s,
        "close_s": close_s,
        "bare_peak_mb": bare_peak,
        "more_peak_mb": watched_peak - bare_peak,
        "closing_peak_mb": peak_mb() - bare_peak,
        "run_mb": files / 2**20,
        "coverage": coverage,
    }


def summary(samples: dict[str, list[Times]], background: float) -> dict[str, Any]:
    """The ratios of the blocks with bootstrap intervals, and those of the slowest steps."""
    import numpy as np

    steps = {kind: np.array(blocks).transpose(2, 0, 1) for kind, blocks in samples.items()}
    wall = {kind: (walls - others).sum(1) for kind, (walls, _, others) in steps.items()}
    processor = {kind: owns.sum(1) for kind, (_, owns, _) in steps.items()}
    generator = np.random.default_rng(11)

    def ratio(blocks: dict[str, Any], kind: str, factor: float) -> dict[str, float]:
        each = blocks[kind] / blocks["off"] * factor
        picks = generator.integers(0, len(each), (RESAMPLES, len(each)))
        low, high = np.percentile(np.median(each[picks], axis=1), (2.5, 97.5))
        total = blocks[kind].sum() / blocks["off"].sum() * factor
        return {"median": float(np.median(each)), "low": float(low), "high": float(high), "all": float(total)}

    def tail(kind: str) -> float:
        """Slowest hundredth: of watched steps with the background thread in them, of the others without."""
        walls, _, others = steps[kind]
        return float(np.percentile(walls if kind == "on" else walls - others, 99))

    return {
        "step_ms": float(1e3 * np.median(steps["off"][0])),
        "on": ratio(wall, "on", 1 + background),
        "control": ratio(wall, "control", 1.0),
        "on_processor": ratio(processor, "on", 1 + background),
        "control_processor": ratio(processor, "control", 1.0),
        "p99": tail("on") / tail("off"),
        "p99_control": tail("control") / tail("off"),
    }


def _coverage(path: Path | None) -> dict[str, Any]:
    from unbug.store import open_reader

    assert path is not None
    reader = open_reader(path)
    try:
        fields = dict(reader.events("coverage")[-1].fields)
        return {
            key: fields.get(key)
            for key in ("accounted_share", "measured_cost", "notes", "full_steps", "lost")
        }
    finally:
        reader.close()


def _child(model: str, options: argparse.Namespace) -> dict[str, Any]:
    core = str(max(os.sched_getaffinity(0)))
    block = 50 if options.full else options.block or BLOCKS[model]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UNBUG")}
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            "--child",
            core,
            "--model",
            model,
            "--pairs",
            str(options.pairs),
            "--block",
            str(block),
        ],
        env={**inherited, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _state(one: dict[str, Any]) -> None:
    import bars  # type: ignore[import-not-found]

    name, on, control = one["model"], one["on"], one["control"]
    how = f"{one['pairs']} rounds of blocks of {one['block']} steps"
    interval = f"median {on['median']:.4f}, 95 % from {on['low']:.4f}; {how}"
    bare = f"bare/bare {control['median']:.4f}, {control['low']:.4f} to {control['high']:.4f}"
    spent = f"accounted {one['accounted_share']:.2%}, background {one['background_share']:.2%}"
    cpu, cpu_bare = one["on_processor"], one["control_processor"]
    processor = f"processor time {cpu['median']:.4f}, {cpu['low']:.4f} to {cpu['high']:.4f}"
    processor += f" (bare/bare {cpu_bare['low']:.4f} to {cpu_bare['high']:.4f})"
    note = f"{interval}; {bare}; {processor}; over all time {on['all']:.4f}; {spent}"
    bars.at_most(f"{name}: step watched over bare, upper end", on["high"], RATIO, unit="x", note=note)
    tail = f"bare/bare {one['p99_control']:.3f}; {one['pairs'] * one['block']} steps"
    bars.at_most(f"{name}: p99 step watched over bare", one["p99"], TAIL_RATIO, unit="x", note=tail)
    busy = f"processor time {one['start_cpu_s']:.3f} s"
    bars.at_most(f"{name}: start", one["start_s"], START_S, unit="s", note=busy)
    bars.at_most(f"{name}: close", one["close_s"], CLOSE_S, unit="s")
    more = f"of {one['bare_peak_mb']:.0f} MB; {one['closing_peak_mb']:.0f} MB with the closing"
    limit = max(MEMORY_MB, 0.05 * one["bare_peak_mb"])
    bars.at_most(f"{name}: more peak memory", one["closing_peak_mb"], limit, unit="MB", note=more)


def main(words: Sequence[str]) -> int:
    """Measure each model in a process of its own; print the table, state the bars."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", action="append", choices=list(BLOCKS), help="only this one; may be repeated"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"rounds (default {PAIRS})")
    parser.add_argument("--block", type=int, help=f"steps in a block (default {BLOCKS})")
    parser.add_argument("--full", action="store_true", help="blocks of 50 steps for every model")
    parser.add_argument("--child", type=int, metavar="CORE", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child is not None:
        os.sched_setaffinity(0, {options.child})
        print(json.dumps(measure(options.model[0], pairs=options.pairs, block=options.block)))
        return 0
    found = []
    for model in options.model or BLOCKS:
        began = time.monotonic()
        one = _child(model, options)
        found.append(one)
        print(f"{model}: bare step {one['step_ms']:.2f} ms, {time.monotonic() - began:.0f} s", flush=True)
        _state(one)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cost.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
