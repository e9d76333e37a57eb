"""Run the fault corpus under `unbug run`, diagnose every run, and score the findings.

    python tools/faults.py [--only NAME …] [--keep FOLDER] [--again] [--json FILE]

Two scripts run at a time, each on one thread. The runs and the reports go into a temporary folder unless
`--keep` names one; `--again` diagnoses the runs that lie there already, which takes seconds. Ends with 1 if a
script could not be run or diagnosed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPO = Path(__file__).parent.parent
CORPUS = REPO / "faults"
WORKERS = 2
LIMIT_S = 300


def main(arguments: list[str]) -> int:
    """Run, diagnose and score; prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these scripts only, by stem")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where runs and reports go and stay")
    parser.add_argument("--again", action="store_true", help="do not run, diagnose what lies in --keep")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the score here")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="unbug-faults-") as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        failed = _all(folder, only=options.only, again=options.again)
        score = [sys.executable, str(CORPUS / "score.py"), str(folder / "reports")]
        score += ["--manifest", str(CORPUS / "manifest.toml")]
        if options.json:
            score += ["--json", str(options.json.absolute())]
        print(flush=True)
        subprocess.run(score, check=True)
    for name, reason in failed:
        print(f"\nfailed: {name}: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _all(folder: Path, *, only: list[str] | None, again: bool) -> list[tuple[str, str]]:
    cases = tomllib.loads((CORPUS / "manifest.toml").read_text(encoding="utf-8"))["case"]
    names = [Path(case["file"]).stem for case in cases if not only or Path(case["file"]).stem in only]
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    failed = []
    with ThreadPoolExecutor(WORKERS) as pool:
        work = {name: pool.submit(_one, name, folder, again=again) for name in names}
        for name in names:
            told, reason = work[name].result()
            print(f"{name:24} {told}", flush=True)
            if reason:
                failed.append((name, reason))
    return failed


def _one(name: str, folder: Path, *, again: bool) -> tuple[str, str]:
    """Run and diagnose one script; returns a line to print and, if it failed, the reason."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1")
    unbug = [sys.executable, "-m", "unbug"]
    runs, began = folder / "runs", time.monotonic()
    if not again:
        shutil.rmtree(runs / name, ignore_errors=True)  # a new one would get another name
        command = [*unbug, "run", "--quiet", "--dir", str(runs), "--name", name, f"{name}.py"]
        done = subprocess.run(
            command, cwd=CORPUS, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        if done.returncode:
            return "did not run", f"exit code {done.returncode}: {done.stderr.strip()[-2000:]}"
    command = [*unbug, "diagnose", str(runs / name), "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        return "could not be diagnosed", f"exit code {done.returncode}: {done.stderr.strip()[-2000:]}"
    (folder / "reports" / f"{name}.json").write_text(done.stdout, encoding="utf-8")
    found = json.loads(done.stdout)
    said = [f"{f['severity']} {f['rule']} {f['name']}" for f in found["findings"]]
    faults = [f"rule {f['rule']} failed: {f['error']}" for f in found["coverage"]["faults"]]
    return f"{time.monotonic() - began:5.1f} s  " + ("; ".join(said) or "nothing found"), "; ".join(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
