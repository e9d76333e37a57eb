"""How long `unbug ls` takes over 1,000 runs: the whole command, in a fresh process."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bars import at_most

from unbug.store import create_run, open_writer, process_identity
from unbug.types import RunState, Status

RUNS, ROUNDS = 1000, 5


def make_runs(directory: Path, many: int) -> None:
    """Runs as they lie on disk: with facts, a status, findings and a tag."""
    facts = {
        "command": ["train.py", "--lr", "0.1"],
        "environment": {f"VARIABLE_{n}": "value" for n in range(40)},
    }
    status = Status(
        state=RunState.FINISHED, updated_ns=0, exit_code=0, steps=1000, trainings=1, last_loss=0.25,
        findings={"error": 1, "warning": 2}, **process_identity(),
    )  # fmt: skip
    for number in range(many):
        path, run = create_run(directory, name=f"run {number}", tags=("bench",), facts=facts)
        writer = open_writer(path)
        writer.status(
            dataclasses.replace(status, updated_ns=run.created_ns, ended_ns=run.created_ns + 10**10)
        )
        writer.close()


def main() -> None:
    """Make the runs, list them a few times."""
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), RUNS)
        command = [sys.executable, "-m", "unbug", "ls", "--dir", folder]
        taken = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            taken.append(time.perf_counter() - began)
        lines = len(done.stdout.splitlines())
        note = f"median of {ROUNDS}, {lines - 1} runs listed, whole process"
        at_most("unbug ls over 1,000 runs", statistics.median(taken), 1.0, unit="s", note=note)


if __name__ == "__main__":
    main()
