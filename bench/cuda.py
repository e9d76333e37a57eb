"""What watching does on a CUDA device: `cuda.py [PART…] [--seconds N]`. Not part of `make bench`.

Parts, all by default:

- `same`: each training of `cuda_models.py` bare, bare again and watched, each in a process of its own, with
  deterministic algorithms: losses and final weights must be equal to the bit, unbug's own work must make no
  call that waits (`torch.cuda.set_sync_debug_mode("error")` where the program makes none itself), and no part
  of unbug may fail.
- `waits`: the same without debug mode, under torch's profiler: how often each waiting call of CUDA was made,
  bare and watched, from the first step.
- `cost`: blocks of steps watched, bare, and bare once more, in random order, with the device idle at both
  ends of each block; the ratio of wall times, with the interval of its median.

Where there is no CUDA device it says so, and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

__all__ = ["main"]

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PARTS = ("same", "waits", "cost")
COSTS = ("mlp", "mlp loader", "small", "small fp16", "resnet bf16", "gpt")
RATIO, MEMORY_MB, START_S = 1.02, 64.0, 0.3


def _children(words: Sequence[Sequence[str]], *, at_once: int) -> list[dict[str, Any]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("UNBUG")}
    env |= {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OMP_NUM_THREADS": "1"}

    def run(one: Sequence[str]) -> dict[str, Any]:
        command = [sys.executable, str(HERE / "cuda_measuring.py"), *one]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": done.stderr[-1500:]}
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(run, words))


def _same(names: Sequence[str], at_once: int) -> list[dict[str, Any]]:
    import bars  # type: ignore[import-not-found]

    how = [(name, turn) for name in names for turn in ("bare", "again", "watched")]
    found = _children([("same", name, turn) for name, turn in how], at_once=at_once)
    rows = []
    for place, name in enumerate(names):
        bare, again, watched = found[3 * place : 3 * place + 3]
        row: dict[str, Any] = {"training": name, "bare": bare, "again": again, "watched": watched}
        rows.append(row)
        failed = [one["failed"] for one in (bare, again, watched) if "failed" in one]
        if failed:
            print(f"{name}: {failed[0]}", flush=True)
            continue
        row["control"] = bare["hash"] == again["hash"]
        row["equal"] = bare["hash"] == watched["hash"]
        row["more_mb"] = watched["peak_mb"] - bare["peak_mb"]
        print(f"{name}: equal {row['equal']} (bare twice {row['control']}), faults {watched['faults']}, "
              f"{row['more_mb']:+.1f} MB of {bare['peak_mb']:.0f} on the device, reserved "
              f"{watched['reserved_mb'] - bare['reserved_mb']:+.0f}, start {watched['start_s']:.3f} s, "
              f"steps {watched['steps']} of {watched['made']}, losses {watched['losses']}, "
              f"first differing step {_first(bare, watched)}", flush=True)  # fmt: skip
    whole = [row for row in rows if row.get("equal") and row["control"] and not row["watched"]["faults"]]
    bars.holds("same losses and weights on the device, no fault", len(whole) == len(rows),
               bar="all", measured=f"{len(whole)} of {len(rows)}")  # fmt: skip
    most = max((row["more_mb"] for row in rows if "more_mb" in row), default=0.0)
    bars.at_most("more peak memory on the device", most, MEMORY_MB, unit="MB")
    return rows


def _first(one: dict[str, Any], other: dict[str, Any]) -> int | None:
    pairs = enumerate(zip(one["told"], other["told"], strict=False))
    return next((number for number, (left, right) in pairs if left != right), None)


def _waits(names: Sequence[str], at_once: int) -> list[dict[str, Any]]:
    import bars

    how = [(name, turn) for name in names for turn in ("bare", "watched")]
    found = _children([("waits", name, turn) for name, turn in how], at_once=at_once)
    rows = []
    for place, name in enumerate(names):
        bare, watched = found[2 * place : 2 * place + 2]
        rows.append({"training": name, "bare": bare, "watched": watched})
        print(f"{name}: bare {bare} | watched {watched}", flush=True)
    equal = [row for row in rows if row["bare"].get("waiting", 0) == row["watched"].get("waiting", 1)]
    bars.holds("calls that wait, bare and watched", len(equal) == len(rows), bar="equal",
               measured=f"{len(equal)} of {len(rows)} equal")  # fmt: skip
    return rows


def _cost(names: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    import bars

    rows = []
    for name in names:
        (one,) = _children([("cost", name, str(seconds))], at_once=1)
        rows.append({"training": name, **one})
        if "failed" in one:
            print(f"{name}: {one['failed']}", flush=True)
            continue
        on, control = one["on"], one["control"]
        note = (f"median {on['median']:.4f}, 95 % from {on['low']:.4f}; over all time {on['all']:.4f}; "
                f"bare/bare {control['median']:.4f}, {control['low']:.4f} to {control['high']:.4f}; "
                f"{one['pairs']} rounds of {one['block']} steps of {one['step_ms']:.2f} ms; "
                f"accounted {one['accounted_share']:.2%}, background {one['background_share']:.2%}, "
                f"asleep {one['asleep_share']:.0%}")  # fmt: skip
        bars.at_most(f"{name}: step watched over bare, upper end", on["high"], RATIO, unit="x", note=note)
        bars.at_most(f"{name}: start", one["start_s"], START_S, unit="s")
    return rows


def main(words: Sequence[str]) -> int:
    """Measure; print the table, state the bars."""
    import torch
    from cuda_models import KINDS  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--only", action="append", choices=list(KINDS), help="only this training")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each training's cost (default 30)")
    parser.add_argument("--at-once", type=int, default=6, help="processes, where no time is taken")
    options = parser.parse_args(words)
    if not torch.cuda.is_available():
        print("no CUDA device: nothing is measured")
        return 0
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}", flush=True)
    parts = options.parts or PARTS
    found: dict[str, Any] = {}
    if "same" in parts:
        found["same"] = _same(options.only or list(KINDS), options.at_once)
    if "waits" in parts:
        found["waits"] = _waits(options.only or list(KINDS), options.at_once)
    if "cost" in parts:
        found["cost"] = _cost(options.only or COSTS, options.seconds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "cuda.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
