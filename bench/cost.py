"""What watching costs, by the public API with its defaults: `cost.py [--model NAME] [--pairs N] [--block N]`.

For each model one process, pinned to one core with all its threads, so that unbug's background thread is
paid for too. Once the allowance of the first steps is spent, rounds of three blocks follow in random order:
watched (`on`), with every patch of unbug taken out (`off`), and once more so (`control`). The cost of a round
is its `on` block over its `off` block, less what the background thread happened to do in either, times one
plus the share of the background thread over a long stretch that is watched without a gap. The same is done
with the processor time of the training's thread, which says more than wall time on a busy machine.
`--scale` measures what is large in one way: 10,000 parameters of 64 elements, a transformer of 200 layers, a
billion elements in tables of which a step touches a few rows (zero pages, which take no memory till then).
`--full` is the issue's bar to the letter: blocks of 50 steps, which takes hours for the larger two.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from cost_measuring import BLOCKS, measure  # type: ignore[import-not-found]

import unbug

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"
PAIRS = 40
SCALE = ("wide", "deep", "billion")
DEFAULT = ("mlp", "resnet", "transformer")
RATIO, TAIL_RATIO, START_S, CLOSE_S, MEMORY_MB = 1.02, 1.10, 0.3, 1.0, 64.0
PROBES_MB, PROBES_SHARE = 256.0, 0.05
"""They have a process of their own, which may take that, or so much of the free memory if it is more."""


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
    bars.at_most(f"{name}: close, besides probes", one["close_s"], CLOSE_S, unit="s")
    told = ", ".join(one["probes_run"]) or "none"
    bars.at_most(f"{name}: probes", one["probes_s"], one["probes_limit_s"], unit="s", note=told)
    room = max(PROBES_MB, PROBES_SHARE * psutil.virtual_memory().available / 2**20)
    bars.at_most(f"{name}: probes, memory of their process", one["probes_mb"], room, unit="MB")
    more = f"of {one['bare_peak_mb']:.0f} MB; {one['more_peak_mb']:.0f} MB before the closing"
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
    parser.add_argument("--scale", action="store_true", help=f"{', '.join(SCALE)} in place of the default")
    parser.add_argument("--child", type=int, metavar="CORE", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.child is not None:
        os.sched_setaffinity(0, {options.child})
        print(json.dumps(measure(options.model[0], pairs=options.pairs, block=options.block)))
        return 0
    compileall.compile_dir(Path(unbug.__file__).parent, quiet=2)  # as it is after it was installed
    found = []
    for model in options.model or (SCALE if options.scale else DEFAULT):
        began = time.monotonic()
        one = _child(model, options)
        found.append(one)
        print(f"{model}: bare step {one['step_ms']:.2f} ms, {time.monotonic() - began:.0f} s", flush=True)
        _state(one)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ("cost_scale.json" if options.scale else "cost.json")).write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
