#!/usr/bin/env python3
"""Run the healthy programs bare and say whether each learns what it can.

    verify.py [--half dev|held] [--only NAME …] [--workers 1] [--json FILE]

One process imports torch, scikit-learn and what else is slow once and forks a child for each program. A
program is healthy if it ends well, prints no warning, reaches its bar with the last number that it prints,
and takes at most 6 s of processor time beyond the imports.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import runpy
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from generate import HALVES, Program, programs

NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|nan|inf")
LIMIT_S = 60
MOST_S = 6.0


def last_number(printed: str) -> float:
    """Read the last number of the last line; NaN if there is none."""
    lines = [line for line in printed.splitlines() if line.strip()]
    found = NUMBER.findall(lines[-1]) if lines else []
    return float(found[-1]) if found else math.nan


def run(script: Path) -> tuple[int, str, float]:
    """Run a program in a forked child; returns its exit code, what it printed and its seconds."""
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if child == 0:
            _as_main(script, printed.fileno())
        began = time.monotonic()
        while True:
            done, status, used = os.wait4(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() - began > LIMIT_S:
                os.kill(child, 9)
            time.sleep(0.02)
        printed.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return code, printed.read(), used.ru_utime + used.ru_stime


def _as_main(script: Path, to: int) -> None:
    """Become the program: in the child, never returns."""
    code = 1
    try:
        os.dup2(to, 1)
        os.dup2(to, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = [str(script)]
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.chdir(script.parent)
        runpy.run_path(str(script), run_name="__main__")
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def judge(one: Program, folder: Path) -> dict[str, object]:
    """Run one program and say what it did."""
    script = folder / f"{one.name}.py"
    script.write_text(one.text, encoding="utf-8")
    code, printed, seconds = run(script)
    value = last_number(printed)
    troubles = []
    if code:
        troubles.append(f"exit code {code}: " + printed.strip()[-300:])
    elif not one.reached(value):
        troubles.append(f"{value:g} does not reach {one.bar}")
    if "Warning" in printed:
        troubles.append("warns: " + printed[printed.index("Warning") :][:200])
    if seconds > MOST_S:
        troubles.append(f"takes {seconds:.2f} s")
    return {"value": value, "seconds": round(seconds, 2), "troubles": troubles}


def main(arguments: list[str]) -> int:
    """Verify; prints one line a program and ends with 1 if one is not healthy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=HALVES)
    parser.add_argument("--only", nargs="+", default=[], help="programs or templates")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    chosen = [p for p in programs(options.half) if not options.only or {p.name, p.group} & set(options.only)]
    import sklearn.datasets
    import sklearn.model_selection
    import sklearn.preprocessing
    import torch

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports what it imports late
    told = {}
    with tempfile.TemporaryDirectory(prefix="unbug-healthy-") as folder, ThreadPoolExecutor(options.workers) as pool:
        for one, facts in zip(chosen, pool.map(lambda p: judge(p, Path(folder)), chosen), strict=True):
            told[one.name] = facts
            bad = "  BAD " + "; ".join(facts["troubles"]) if facts["troubles"] else ""
            print(f"{one.name:34} {facts['value']:10.4g} {one.bar:10} {facts['seconds']:5.2f} s{bad}", flush=True)
    wrong = [name for name, facts in told.items() if facts["troubles"]]
    print(f"{len(told) - len(wrong)} of {len(told)} healthy" + (f"; not: {', '.join(wrong)}" if wrong else ""))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
