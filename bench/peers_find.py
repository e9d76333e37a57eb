"""How often do other tools find the faults that unbug is measured with? `peers_find.py [--sample N]`.

Runs what is installed of the dependency group `bench`, each as its README says, on the programs of the dev
half, and writes to `faults/peers.json`, from which `make faults-full` makes a table. Two kinds: tools that
are attached to a training (`peers_hook.py` does it, without a change to the program) and those that read its
source. Counted is what unbug is counted by: a faulty program with any finding of severity warning or error, a
healthy one with any. Which class a finding names is not compared, for these tools have vocabularies of their
own. Not part of `make bench`: it takes an hour.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from tools.full.programs import Case, gather  # noqa: E402
from tools.full.recorded import write_json  # noqa: E402

LIMIT_S = 300
PEERS = REPO / "faults" / "peers.json"
NOT_APPLIED = {
    "guardtower": "its audit is a function that the program must call with model, batch and loss",
    "traincheck": "it infers invariants from traces of several good runs of a program first",
    "smdebug": "it needs numpy below 2 and its rules run as jobs of a service",
    "cockpit-for-pytorch": "it draws instruments for a person and states no findings",
}
Alerts = list[str]


def main(arguments: list[str]) -> int:
    """Measure every tool that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="N programs of each set, by hash")
    parser.add_argument("--only", nargs="+", metavar="TOOL", choices=ASKED)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    measured = 0
    with tempfile.TemporaryDirectory(prefix="unbug-peers-") as temporary:
        cases = _sampled(gather(REPO / "faults", Path(temporary) / "programs", half="dev"), options.sample)
        for name in options.only or ASKED:
            try:
                version = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                print(f"{name}: not installed; `pip install --group bench` installs it")
                continue
            facts = _measured(name, cases, Path(temporary), options.workers)
            today = datetime.date.today().isoformat()
            _keep(name, {"version": version, "date": today, **facts})
            measured += 1
    return 0 if measured else 1


def _keep(name: str, facts: dict[str, Any]) -> None:
    """Write down what one tool did; what is known of the others stays."""
    known = json.loads(PEERS.read_text(encoding="utf-8"))["tools"] if PEERS.exists() else {}
    write_json(PEERS, {"tools": known | {name: facts}, "not_applied": NOT_APPLIED})


def _sampled(cases: list[Case], count: int | None) -> list[Case]:
    if count is None:
        return cases
    chosen = []
    for name in sorted({case.set for case in cases}):
        group = [case for case in cases if case.set == name]
        chosen += sorted(group, key=lambda case: hashlib.sha256(case.name.encode()).digest())[:count]
    return chosen


def _measured(name: str, cases: list[Case], folder: Path, workers: int) -> dict[str, Any]:
    """Ask one tool of every program."""
    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(lambda case: ASKED[name](name, case, folder), cases))
    sick = [a for case, a in zip(cases, answers, strict=True) if not case.healthy]
    well = [a for case, a in zip(cases, answers, strict=True) if case.healthy]
    known = [a for a in answers if a is not None]
    facts = {
        "detection": [sum(bool(a) for a in sick), len(sick)],
        "false_alarms": [sum(bool(a) for a in well if a is not None), sum(a is not None for a in well)],
        "alerts": round(sum(len(a) for a in known) / max(1, len(known)), 2),
        "failed": len(answers) - len(known),
    }
    (k, n), (j, m) = facts["detection"], facts["false_alarms"]
    print(f"{name:16} detects {k}/{n}, alarms on {j}/{m} healthy, failed on {facts['failed']}", flush=True)
    return facts


def _attached(name: str, case: Case, folder: Path) -> Alerts | None:
    """What a tool attached to the training says; None if it made the program fail."""
    place = folder / f"{name}-{case.name}"
    place.mkdir()
    shutil.copy(case.script, place)
    out = place / "said.json"
    command = [sys.executable, str(REPO / "bench" / "peers_hook.py"), name, str(out), case.script.name]
    try:
        subprocess.run(
            command, cwd=place, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=LIMIT_S, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    said = json.loads(out.read_text(encoding="utf-8")) if out.exists() else None
    shutil.rmtree(place)
    return None if said is None else [one["rule"] for one in said if _counts(one["rule"], one["severity"])]


def _counts(rule: str, severity: str) -> bool:
    """Whether a finding counts; what is said of speed, on hardware that is not there, does not."""
    return severity != "note" and not rule.startswith("TA20")


def _preflight(name: str, case: Case, folder: Path) -> Alerts | None:
    """What torch-preflight says of the source."""
    command = [sys.executable, "-c", "from torch_preflight.cli import main; main()"]
    command += ["check", "--format", "json", "-j", "1", str(case.script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    try:
        told = json.loads(done.stdout)["diagnostics"]
    except (ValueError, KeyError):
        return None
    return [one["code"] for one in told if one["severity"] in ("error", "warning")]


def _torchfix(name: str, case: Case, folder: Path) -> Alerts | None:
    """What TorchFix says of the source, by its default rules."""
    command = [sys.executable, "-m", "torchfix", "-j", "1", str(case.script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return re.findall(r"\bTOR\d{3}\b", done.stdout)


ASKED: dict[str, Callable[[str, Case, Path], Alerts | None]] = {
    "torch-audit": _attached,
    "torchmortem": _attached,
    "torcheck": _attached,
    "torch-preflight": _preflight,
    "torchfix": _torchfix,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
