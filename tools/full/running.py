"""Run programs under `unbug run` and diagnose them: in parallel, resumable, and leaving nothing behind.

What is kept of a program is one small file with its report, keyed by the hashes of program and unbug; the run
itself is deleted unless it is to be kept.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tools.full.programs import Case

__all__ = ["ForkServers", "Outcome", "Processes", "Results", "differing", "run_all"]

RUN_LIMIT_S, DIAGNOSE_LIMIT_S = 300.0, 120.0
CALM = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "UNBUG_LANG": "en"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one program."""

    name: str
    program: str
    tree: str
    report: dict[str, Any] | None
    exit_code: int
    run_s: float
    diagnose_s: float
    problem: str = ""


class Results:
    """The outcomes in a folder, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str) -> Outcome | None:
        """Read an outcome; None if there is none that can be read."""
        try:
            return Outcome(**json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def put(self, outcome: Outcome) -> None:
        """Write an outcome, whole or not at all."""
        path = self.folder / f"{outcome.name}.json"
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        part.write_text(json.dumps(vars(outcome), indent=1), encoding="utf-8")
        part.replace(path)

    def missing(self, cases: Iterable[Case], tree: str) -> list[Case]:
        """Say which programs have no outcome yet with this unbug, or one in which unbug itself failed."""
        return [case for case in cases if not self._fresh(case, tree)]

    def _fresh(self, case: Case, tree: str) -> bool:
        known = self.get(case.name)
        if known is None or known.problem:
            return False
        return (known.program, known.tree) == (case.digest, tree)


def differing(names: Iterable[str], one: Results, other: Results) -> tuple[int, list[str]]:
    """Say of how many programs two folders both hold a report, and of which of them the findings differ.

    Returns:
        The number compared, and the names: rule, severity, place, steps, words, line or confidence differ.
    """
    pairs = [(name, one.get(name), other.get(name)) for name in names]
    both = [(name, a.report, b.report) for name, a, b in pairs if a and b and a.report and b.report]
    return len(both), [name for name, a, b in both if _said(a) != _said(b)]


def _said(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("rule", "severity", "place", "steps", "known_at", "message", "confidence")
    return [(*(f[key] for key in keys), (f["source"] or {}).get("line")) for f in report["findings"]]


class Unbug(Protocol):
    """A way to call the `unbug` command."""

    def call(self, argv: list[str], *, cwd: Path, out: Path, err: Path, limit_s: float) -> tuple[int, float]:
        """Call it; returns the exit code and the seconds that it took."""

    def close(self) -> None:
        """End every process that it began."""


class Processes:
    """A new interpreter for each call, as a user has it."""

    def __init__(self) -> None:
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def call(self, argv: list[str], *, cwd: Path, out: Path, err: Path, limit_s: float) -> tuple[int, float]:
        """Call `python -m unbug`."""
        began = time.monotonic()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            with self._lock:
                if self._closed:
                    return -signal.SIGTERM, 0.0
                child = subprocess.Popen(
                    [sys.executable, "-m", "unbug", *argv], cwd=cwd, env={**os.environ, **CALM},
                    stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
                )  # fmt: skip
                self._alive.add(child)
            try:
                child.wait(limit_s)
            except subprocess.TimeoutExpired:
                _end(child)
            with self._lock:
                self._alive.discard(child)
        return child.returncode, time.monotonic() - began

    def close(self) -> None:
        """End what still runs."""
        with self._lock:
            self._closed = True
            for child in self._alive:
                _end(child)


class ForkServers:
    """Forks of interpreters that have imported torch once: much faster, and not how a user has it."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("preload.py"))]
        self._servers = [
            subprocess.Popen(
                command, env={**os.environ, **CALM}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                start_new_session=True,
            )
            for _ in range(count)
        ]  # fmt: skip
        self._free: queue.Queue[subprocess.Popen[str]] = queue.Queue()
        for server in self._servers:
            if '"ready"' not in _read(server):
                self.close()
                raise RuntimeError("a fork server did not start; run without --preload")
            self._free.put(server)

    def call(self, argv: list[str], *, cwd: Path, out: Path, err: Path, limit_s: float) -> tuple[int, float]:
        """Have a free server do it."""
        server = self._free.get()
        job = {"argv": argv, "cwd": str(cwd), "out": str(out), "err": str(err), "env": {}, "limit_s": limit_s}
        try:
            assert server.stdin
            server.stdin.write(json.dumps(job) + "\n")
            server.stdin.flush()
            told = json.loads(_read(server) or '{"code": -15, "seconds": 0.0}')
        except (OSError, ValueError):
            told = {"code": -signal.SIGTERM, "seconds": 0.0}  # the servers were closed
        self._free.put(server)
        return told["code"], told["seconds"]

    def close(self) -> None:
        """End the servers and what they run."""
        for server in self._servers:
            _end(server)
            for pipe in (server.stdin, server.stdout):
                if pipe:
                    with suppress(OSError):
                        pipe.close()


def _read(server: subprocess.Popen[str]) -> str:
    assert server.stdout
    return server.stdout.readline()


def _end(child: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def one(case: Case, unbug: Unbug, *, work: Path, tree: str, keep: Path | None, again: bool) -> Outcome:
    """Run and diagnose one program in a folder of its own."""
    place = work / case.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    kept = keep / case.name if keep else None
    run, code, run_s, problem = place / "runs" / case.name, 0, 0.0, ""
    try:
        if again and kept and kept.is_dir():
            run = kept
        else:
            shutil.copy(case.script, place)
            options = ["--quiet", "--dir", str(place / "runs"), "--name", case.name]
            argv = ["run", *options, case.script.name]
            streams = {"out": place / "out", "err": place / "err"}
            code, run_s = unbug.call(argv, cwd=place, **streams, limit_s=RUN_LIMIT_S)
            if code and case.healthy:
                problem = f"exit code {code}: {_tail(place / 'err')}"
        report, diagnose_s, failed = _diagnosed(unbug, run, place)
        if kept and run != kept and run.is_dir():
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(run, kept)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Outcome(
        name=case.name, program=case.digest, tree=tree, report=report, exit_code=code, run_s=run_s,
        diagnose_s=diagnose_s, problem=problem or failed,
    )  # fmt: skip


def _diagnosed(unbug: Unbug, run: Path, place: Path) -> tuple[dict[str, Any] | None, float, str]:
    """Returns the report, the seconds that it took, and what went wrong with unbug itself."""
    if not run.is_dir():
        return None, 0.0, f"there is no run: {_tail(place / 'err')}"
    out, err = place / "report.json", place / "report.err"
    argv = ["diagnose", str(run), "--json"]
    code, seconds = unbug.call(argv, cwd=place, out=out, err=err, limit_s=DIAGNOSE_LIMIT_S)
    try:
        report = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, seconds, f"could not be diagnosed, exit code {code}: {_tail(err)}"
    faults = [f"rule {fault['rule']} failed: {fault['error']}" for fault in report["coverage"]["faults"]]
    return report, seconds, "; ".join(faults)


def _tail(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()[-600:] if path.exists() else ""


def run_all(
    cases: list[Case], unbug: Unbug, results: Results, *, work: Path, tree: str, workers: int,
    keep: Path | None, again: bool, told: Callable[[Case, Outcome], None],
) -> None:  # fmt: skip
    """Run what is given, keep each outcome at once; an interrupt ends every child and loses nothing."""
    pool = ThreadPoolExecutor(workers)
    try:
        futures = {
            pool.submit(one, case, unbug, work=work, tree=tree, keep=keep, again=again): case
            for case in cases
        }
        for future in as_completed(futures):
            outcome = future.result()
            results.put(outcome)
            told(futures[future], outcome)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        unbug.close()
        pool.shutdown(wait=True)
        shutil.rmtree(work, ignore_errors=True)
