"""Run generated programs bare and check that each does what the manifest says.

    python faults/generated/verify.py FOLDER [--only GROUP …] [--workers N] [--log FILE]

FOLDER is what generate.py wrote. One process imports torch and the other libraries once and forks for each
program, which saves most of the time. Every original is run under six seeds (the first is its own; each seed
set by `torch.manual_seed` is shifted for the others): a faulty program is effective if its metric, the last
number that it prints, is clearly worse than in all of these, or if the `effect` that the manifest names is in
force. Prints one line for each program that is not, and ends with 1 if there is any. `--log` keeps every
outcome, one JSON object a line; what a log holds already is not run again, for a file's name holds the hash
of its text.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

SHIFTS = (0, 101, 202, 303, 404, 505)
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)\b")
LIMIT_S = 600
SHARE_WORSE = 0.01
SHARE_HEALTHY = {"higher": 0.10, "lower": 0.50}
LEAST_GROWTH_MB = 4.0
LEAST_SLOWDOWN = 2.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of one program showed."""

    name: str
    shift: int
    code: int
    metric: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    printed: str


def load() -> None:
    """Import what the programs import, with one thread."""
    import lightning  # noqa: F401
    import sklearn.datasets
    import sklearn.metrics
    import sklearn.model_selection
    import sklearn.preprocessing  # noqa: F401
    import torch
    import transformers  # noqa: F401

    torch.set_num_threads(1)
    torch.nn.Linear(2, 2)(torch.zeros(1, 2)).sum().backward()  # loads what loads late


def _child(path: Path, shift: int, out: Path) -> None:
    """Run one program in this forked process and leave it; never returns."""
    import torch

    seed: Callable[[int], object] = torch.manual_seed
    if shift:
        torch.manual_seed = lambda given: seed(given + shift)
    text = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(text, 1)
    os.dup2(text, 2)
    os.chdir(out.parent)
    sys.argv, sys.path[0] = [str(path)], str(path.parent)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    code = 0
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), {"__name__": "__main__"})
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException:
        import traceback

        sys.stdout.flush()
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_all(jobs: list[tuple[Path, int]], *, workers: int, folder: Path) -> Iterator[Outcome]:
    """Run programs under shifts of their seeds, `workers` at a time, in forks of this process."""
    waiting, running = list(reversed(jobs)), {}
    while waiting or running:
        while waiting and len(running) < workers:
            path, shift = waiting.pop()
            out = folder / f"{path.stem}.{shift}.{len(waiting)}"
            pid = os.fork()
            if pid == 0:
                _child(path, shift, out)
            running[pid] = (path, shift, out, time.monotonic())
        for pid in list(running):
            ended, status, used = os.wait4(pid, os.WNOHANG)
            path, shift, out, began = running[pid]
            if ended:
                del running[pid]
                yield _outcome(path, shift, out, began, status, used)
            elif time.monotonic() - began > LIMIT_S:
                os.kill(pid, 9)
        time.sleep(0.01)


def _outcome(
    path: Path, shift: int, out: Path, began: float, status: int, used: resource.struct_rusage
) -> Outcome:
    printed = out.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in printed.splitlines() if line.strip()]
    numbers = NUMBER.findall(lines[-1]) if lines else []
    return Outcome(
        name=path.name,
        shift=shift,
        code=os.waitstatus_to_exitcode(status),
        metric=float(numbers[-1]) if numbers else math.nan,
        wall_s=round(time.monotonic() - began, 3),
        cpu_s=round(used.ru_utime + used.ru_stime, 3),
        peak_mb=round(used.ru_maxrss / 1024, 1),
        printed=printed,
    )


def is_worse(metric: float, than: list[float], goal: str, *, share: float) -> bool:
    """Whether a metric is not finite, or worse than all of `than` by half their range and by a `share`.

    The share is one of the greatest metric, 1, where higher is better, and of the worst where lower is.
    """
    if not math.isfinite(metric):
        return True
    half_range = (max(than) - min(than)) / 2
    if goal == "higher":
        return metric < min(than) - max(half_range, share)
    return metric > max(than) + max(half_range, share * abs(max(than)))


def objection(case: dict, mine: list[Outcome], healthy: list[Outcome], goal: str) -> str:
    """Why a program does not do what its case says; empty if it does."""
    first, base = mine[0], healthy[0]
    if first.code:
        return f"ended with {first.code}: {first.printed.strip()[-200:]}"
    if case["healthy"]:
        bad = is_worse(first.metric, [one.metric for one in healthy], goal, share=SHARE_HEALTHY[goal])
        return "worse than the original" if bad else ""
    effect = case["effect"]
    if effect == "worse":
        fine = is_worse(first.metric, [one.metric for one in healthy], goal, share=SHARE_WORSE)
    elif effect in ("leak", "mechanism"):
        fine = first.printed != base.printed
    elif effect == "slower":
        fine = first.wall_s >= LEAST_SLOWDOWN * base.wall_s
    elif effect == "grows":
        fine = first.peak_mb >= base.peak_mb + LEAST_GROWTH_MB
    else:
        fine = len({one.printed for one in mine}) > 1
    return "" if fine else f"no effect of kind {effect!r}"


def _known(log: Path | None) -> list[Outcome]:
    if log is None or not log.exists():
        return []
    return [Outcome(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]


def main(arguments: list[str]) -> int:
    """Run and judge; prints what does not hold, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", metavar="GROUP")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep outcomes here, and use those it holds")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    cases = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))["case"]
    cases = [case for case in cases if not options.only or case["group"] in options.only]
    outcomes = _known(options.log)
    known = Counter((one.name, one.shift) for one in outcomes)
    jobs = []
    for case in cases:
        shifts = SHIFTS if case["operator"] == "none" else (0, 0) if case.get("effect") == "random" else (0,)
        for shift in shifts:
            if known[case["file"], shift]:
                known[case["file"], shift] -= 1
            else:
                jobs.append((folder / case["file"], shift))
    if jobs:
        load()
    with tempfile.TemporaryDirectory(prefix="verify-") as scratch:
        for outcome in run_all(jobs, workers=options.workers, folder=Path(scratch)):
            outcomes.append(outcome)
            if options.log:
                with options.log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(asdict(outcome)) + "\n")
    by_name: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda one: one.shift):
        by_name.setdefault(outcome.name, []).append(outcome)
    base = {case["group"]: by_name[case["file"]] for case in cases if case["operator"] == "none"}
    bad = 0
    for case in cases:
        goal = "higher" if "higher" in case["metric"] else "lower"
        mine, healthy = by_name[case["file"]], base[case["group"]]
        why = objection(case, mine, healthy, goal)
        bad += bool(why)
        if why or (options.only and not case["healthy"]) or case["operator"] == "none":
            kind = case.get("fault", "healthy")
            spread = [round(one.metric, 4) for one in healthy]
            print(
                f"{case['file']:28} {kind:28} {mine[0].metric:10.5g} {mine[0].cpu_s:5.2f} s {why}", flush=True
            )
            if case["operator"] == "none":
                print(f"    {case['metric']}: six seeds {spread}")
    print(f"{len(cases)} programs, {bad} that do not do what the manifest says")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
