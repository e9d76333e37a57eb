"""Serve runs from a process that has imported torch already: `python preload.py`, one JSON object a line.

Each job is `{"argv", "cwd", "out", "err", "env", "limit_s"}`; a forked child takes these for its own and
calls `unbug` with `argv`. The answer, one line, is `{"code", "seconds"}`; a child that takes longer than its
limit is killed, code -9.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
from typing import Any

EARLY = (
    "torch", "torch._dynamo", "torch.distributed.fsdp", "torch.distributions", "torch.optim.swa_utils",
    "torch.utils.data", "sklearn.datasets", "sklearn.linear_model", "sklearn.metrics",
    "sklearn.model_selection", "sklearn.preprocessing", "pyarrow.parquet", "duckdb", "psutil", "unbug.cli",
)  # fmt: skip


OURS = (
    "unbug.hooks",
    "unbug.record",
    "unbug.store",
    "unbug.session",
    "unbug.detect",
    "unbug.report",
    "unbug.checks",
)


def _load() -> None:
    for name in EARLY:
        importlib.import_module(name)
    for name in OURS:
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not found.name.rpartition(".")[2].startswith("_") and ".child." not in found.name:
                importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # what lies here already is not copied, nor searched for models, in every child


def _child(job: dict[str, Any]) -> int:
    """Be the program; returns only what `unbug` returns."""
    os.chdir(job["cwd"])
    for stream, path in ((1, job["out"]), (2, job["err"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream)
        os.close(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os.environ.update(job["env"])
    sys.argv = ["unbug", *job["argv"]]
    sys.path[0] = job["cwd"]
    from unbug.cli import main

    return main(job["argv"])


def _served(child: int, limit_s: float) -> dict[str, Any]:
    began, killed = time.monotonic(), False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        took = time.monotonic() - began
        if done:
            return {"code": os.waitstatus_to_exitcode(status), "seconds": took}
        if took > limit_s and not killed:
            os.kill(child, signal.SIGKILL)
            killed = True
        time.sleep(0.01)


def _serve() -> int:
    """Serve until standard input ends. In a child, returns the exit code of its program."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            return _child(job)
        print(json.dumps(_served(child, job["limit_s"])), file=answers)
    return 0


if __name__ == "__main__":
    _load()
    sys.exit(_serve())
