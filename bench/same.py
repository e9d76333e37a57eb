"""Is a watched program the same program? Each of tests/record/programs runs bare, bare again, and watched.

Compared are stdout byte for byte (every loss in hexadecimal and a hash of the final weights are part of
it), stderr with all warnings and tracebacks, the exit code or signal, the files in the working folder,
processes left behind, and the peak memory of the program and its children. `same.py NAME…` runs only
these; `--cold` compiles anew each time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["PROGRAMS", "Expected", "Outcome", "differences", "program", "recorded", "run_bare", "run_watched"]

REPO = Path(__file__).parent.parent
FOLDER = REPO / "tests" / "record" / "programs"
MEASURED = Path(__file__).parent / "_measured.py"
RESULTS = Path(__file__).parent / "results"
MEMORY_BYTES, MEMORY_SHARE = 64 * 2**20, 0.05


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a program does by itself, so that a run that recorded nothing, or the wrong thing, is noticed.

    Args:
        steps: Steps of the primary optimizers, all trainings and processes together.
        status: Exit code; minus the signal's number if a signal ended it.
        trainings: Sets of parameters that are trained (a rank's is the same training).
    """

    steps: int
    status: int = 0
    trainings: int = 1


PROGRAMS: Mapping[str, Expected] = {
    "plain": Expected(steps=120),
    "accumulation": Expected(steps=101),
    "gan": Expected(steps=120),
    "amp": Expected(steps=150),
    "checkpoint": Expected(steps=80),
    "checkpoint_reentrant": Expected(steps=80),
    "compiled": Expected(steps=100, trainings=3),
    "ddp": Expected(steps=80),
    "lbfgs": Expected(steps=25),
    "functional": Expected(steps=40),
    "workers": Expected(steps=48),
    "with_lightning": Expected(steps=48),
    "with_transformers": Expected(steps=24),
    "with_accelerate": Expected(steps=64),
    "reinforce": Expected(steps=100),
    "no_loader": Expected(steps=50),
    "folds": Expected(steps=160, trainings=5),
    "sweep": Expected(steps=360, trainings=6),
    "evaluation": Expected(steps=0, trainings=0),
    "crashes": Expected(steps=60, status=1),
    "interrupted": Expected(steps=100, status=-2),
    "exits": Expected(steps=120, status=7),
    "inplace": Expected(steps=60),
    "tied": Expected(steps=60),
    "broadcasting": Expected(steps=150),
    "transformed": Expected(steps=60),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What can be noticed of a program from outside."""

    status: int
    stdout: bytes
    stderr: bytes
    files: tuple[str, ...]
    left_behind: tuple[str, ...]
    peak_bytes: int
    wall_s: float
    cpu_s: float


def program(name: str) -> Path:
    """The file of a program."""
    return FOLDER / f"{name}.py"


def run_bare(
    script: Path, folder: Path, *, options: Sequence[str] = (), env: Mapping[str, str] = {}
) -> Outcome:
    """Run `python OPTIONS SCRIPT` in a new folder."""
    return _run([sys.executable, *options, str(script)], folder, env)


def run_watched(
    script: Path,
    folder: Path,
    runs: Path,
    *,
    options: Sequence[str] = (),
    env: Mapping[str, str] = {},
) -> Outcome:
    """Run `python OPTIONS -m unbug run SCRIPT`, recorded into `runs`."""
    unbug = ["-m", "unbug", "run", "--quiet", "--dir", str(runs)]
    return _run([sys.executable, *options, *unbug, str(script)], folder, env)


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Outcome:
    folder.mkdir(parents=True)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("UNBUG", "PYTEST", "COV_"))
    }
    clean = {
        **inherited,
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        **env,
    }
    measured = [sys.executable, "-I", "-S", str(MEASURED), str(folder), *command]
    subprocess.run(measured, env=clean, check=True, timeout=240)
    told = json.loads((folder / "outcome.json").read_text())
    where = folder / "cwd"
    return Outcome(
        status=told["status"],
        stdout=(folder / "stdout").read_bytes(),
        stderr=_without_clock((folder / "stderr").read_bytes()),
        files=tuple(sorted(str(path.relative_to(where)) for path in where.rglob("*"))),
        left_behind=tuple(told["left_behind"]),
        peak_bytes=told["peak_bytes"],
        wall_s=told["wall_s"],
        cpu_s=told["cpu_s"],
    )


def _without_clock(text: bytes) -> bytes:
    """Torch's C++ warnings begin with the time of day and a thread's number."""
    return re.sub(rb"\[([A-Z])\d{4} \d\d:\d\d:\d\d\.\d+ +\d* ?", rb"[\1 ", text)


def differences(bare: Outcome, other: Outcome) -> list[str]:
    """What is not the same, in words; empty if all is."""
    found = []
    if other.status != bare.status:
        found.append(f"ends with {other.status}, bare with {bare.status}")
    for stream in ("stdout", "stderr"):
        one, two = getattr(bare, stream), getattr(other, stream)
        if one != two:
            found.append(f"{stream}: {_first_difference(one, two)}")
    if other.files != bare.files:
        found.append(f"leaves files {other.files}, bare {bare.files}")
    if other.left_behind:
        found.append(f"leaves processes behind: {'; '.join(other.left_behind)}")
    allowed = max(MEMORY_BYTES, MEMORY_SHARE * bare.peak_bytes)
    if other.peak_bytes > bare.peak_bytes + allowed:
        more = (other.peak_bytes - bare.peak_bytes) / 2**20
        found.append(f"peak memory {more:+.0f} MB, allowed {allowed / 2**20:.0f} MB")
    return found


def _first_difference(one: bytes, two: bytes) -> str:
    left, right = one.splitlines(), two.splitlines()
    for number, (bare, watched) in enumerate(zip(left, right, strict=False), 1):
        if bare != watched:
            return f"line {number} is {watched!r}, bare {bare!r}"
    more = (right if len(right) > len(left) else left)[min(len(left), len(right))]
    return f"{len(right)} lines, bare {len(left)}; the first that only one has is {more!r}"


def recorded(runs: Path, expected: Expected) -> list[str]:
    """What the run that lies in `runs` should hold and does not, and every fault that unbug noted."""
    from unbug.store import list_runs, open_reader

    found = list_runs(runs)
    if len(found) != 1:
        return [f"{len(found)} runs were recorded, not one"]
    reader = open_reader(next(path.parent for path in runs.glob("*/run.json")))
    try:
        missing = [f"fault in the run: {dict(event.fields)}" for event in reader.events("fault")]
        covered = [one for event in reader.events("coverage") for one in event.fields["trainings"]]
        steps = sum(one["steps"] for one in covered)
        if steps != expected.steps:
            missing.append(f"{steps} steps were counted, {expected.steps} were made")
        rows = sum(
            len(reader.read(series).values) for series in reader.find(name="loss.value", origin="auto")
        )
        if rows != expected.steps:
            missing.append(f"{rows} losses were recorded of {expected.steps}")
        trainings = len({training.number for training in reader.trainings()})
        if trainings != expected.trainings:
            missing.append(f"{trainings} trainings were recorded, there were {expected.trainings}")
        return missing
    finally:
        reader.close()


def _measure(name: str, base: Path, env: Mapping[str, str]) -> dict[str, object]:
    script, folder = program(name), base / name
    bare = run_bare(script, folder / "bare", env=env)
    again = run_bare(script, folder / "again", env=env)
    watched = run_watched(script, folder / "watched", folder / "runs", env=env)
    control = differences(bare, again)
    changed = differences(bare, watched)
    if bare.status != PROGRAMS[name].status:
        control.append(f"ends with {bare.status}, expected {PROGRAMS[name].status}")
    return {
        "program": name,
        "control": control,
        "changed": changed,
        "missing": recorded(folder / "runs", PROGRAMS[name]),
        "memory_mb": (watched.peak_bytes - max(bare.peak_bytes, again.peak_bytes)) / 2**20,
        "bare": {key: value for key, value in asdict(bare).items() if isinstance(value, (int, float))},
        "watched": {key: value for key, value in asdict(watched).items() if isinstance(value, (int, float))},
    }


def main(words: Sequence[str]) -> int:
    """Run the programs, print the table, state the bars."""
    import bars  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", metavar="NAME", help=", ".join(PROGRAMS))
    parser.add_argument("--cold", action="store_true", help="give the compiler an empty cache for each run")
    parser.add_argument("--keep", type=Path, help="keep outputs and runs in this folder")
    options = parser.parse_args(words)
    rows = []
    with tempfile.TemporaryDirectory(prefix="same-") as temporary:
        base = options.keep or Path(temporary)
        env = (
            {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
            if options.cold
            else {"TORCHINDUCTOR_CACHE_DIR": f"{base}/inductor"}
        )
        for name in options.programs or PROGRAMS:
            row = _measure(name, base, env)
            rows.append(row)
            told = "; ".join(f"bare again: {text}" for text in row["control"]) or "same"
            verdict = "; ".join(row["changed"]) or "same"
            run = "; ".join(row["missing"]) or "complete"
            print(
                f"{name:21} control {told} | watched {verdict} ({row['memory_mb']:+.0f} MB) | run {run}",
                flush=True,
            )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "same.json").write_text(json.dumps(rows, indent=1))
    sound = [row for row in rows if not row["control"]]
    equal = [row for row in sound if not row["changed"]]
    whole = [row for row in rows if not row["missing"]]
    bars.holds(
        "same twice bare (control)",
        len(sound) == len(rows),
        bar="all",
        measured=f"{len(sound)} of {len(rows)}",
    )
    bars.holds(
        "same bare and watched", len(equal) == len(rows), bar="all", measured=f"{len(equal)} of {len(rows)}"
    )
    bars.holds(
        "every step counted, no fault",
        len(whole) == len(rows),
        bar="all",
        measured=f"{len(whole)} of {len(rows)}",
    )
    bars.at_most("peak memory over bare", max(row["memory_mb"] for row in rows), 64, unit="MB", note="or 5 %")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
