"""One model's steps watched, bare, and bare once more, in turn; see `cost.py`."""

from __future__ import annotations

import gc
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

__all__ = ["BLOCKS", "Switch", "measure"]

BLOCKS = {"mlp": 50, "resnet": 2, "transformer": 2, "wide": 20, "deep": 4, "billion": 20}
"""Steps in a block."""
_BARE_STEPS = {"resnet": 12, "transformer": 12, "deep": 6, "wide": 6}
_WARM_STEPS = {"mlp": 450, "resnet": 24, "transformer": 24, "wide": 60, "deep": 60, "billion": 300}
_STRETCH_S = {"mlp": 8.0}
_RESAMPLES = 4000


class Switch:
    """Takes every patch out of torch and puts it back between steps, without the recorder noticing the gap.

    Args:
        pairs: Functions that were tapped, with their codes, as `noting_taps` collected them.
    """

    def __init__(self, pairs: Sequence[tuple[FunctionType, Any]], course: Any) -> None:
        self._course = course
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
            if self._course._last_end:
                self._course._last_end += time.perf_counter_ns() - self._since
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
    for _ in range(_BARE_STEPS.get(model, 20)):  # after fewer, the peak of the bare program still grows
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

        warm = [wall for wall, *_ in timed(step, _WARM_STEPS[model], clock)]
        left_s = recorder._core.budget.allowance_ns / 1e9
        recorder._core.budget.allowance_ns = 0
        switch = Switch(taps, recorder._course)
        samples: dict[str, list[Times]] = {"on": [], "off": [], "control": []}
        draw = random.Random(7)
        accounted = 0.0
        for _ in range(pairs):
            for kind in draw.sample(list(samples), 3):
                gc.collect()  # the program's own full collections, 0.3 s each, would fall into any block
                switch.turn(on=kind == "on")
                before = recorder.coverage()["accounted_s"]
                samples[kind].append(timed(step, block, clock))
                accounted += recorder.coverage()["accounted_s"] - before
        switch.turn(on=True)
        began, ran_before, stretch = time.perf_counter(), clock(), 0
        while time.perf_counter() - began < _STRETCH_S.get(model, 15.0):
            step()
            stretch += 1
        background = (clock() - ran_before) / 1e9 / (time.perf_counter() - began)
        watched_peak = peak_mb()
        os.close(ran)
        start = time.perf_counter()
        session.close()
        close_s = time.perf_counter() - start
        coverage, probes = _told(session.path)
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
        "close_s": close_s - probes.get("seconds", 0.0),
        "probes_s": probes.get("seconds", 0.0),
        "probes_limit_s": probes.get("limit_s", 0.0),
        "probes_mb": probes.get("peak_mb") or 0.0,
        "probes_run": probes.get("run", []),
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
        picks = generator.integers(0, len(each), (_RESAMPLES, len(each)))
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


def _told(path: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run says of its coverage, and of all probes together; the latter empty if there were none."""
    from unbug.store import open_reader

    assert path is not None
    reader = open_reader(path)
    try:
        fields = dict(reader.events("coverage")[-1].fields)
        probes = [dict(one.fields) for one in reader.events("probe") if one.fields.get("probe") == "all"]
    finally:
        reader.close()
    names = ("accounted_share", "measured_cost", "notes", "full_steps", "lost")
    return {name: fields.get(name) for name in names}, (probes or [{}])[-1]
