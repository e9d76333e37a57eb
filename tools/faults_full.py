"""Run every program that rules are measured with, score the findings, compare with the last recorded figures.

    python tools/faults_full.py [--half dev] [--sets healthy …] [--only NAME …] [--sample N] [--preload]

The programs: the corpus in `faults/`, those of `faults/generated` and of `faults/healthy`. What was run is
not run again until the program or unbug changes, so a run that was cut off goes on where it was. A
measurement of all programs is recorded: `faults/measured.json` (aggregates), `faults/rates.json` and its copy
in the package, and a page of the docs. Of the `held` half only aggregates are printed. Ends with 1 if a
program could not be run or diagnosed.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))


from tools.full.judged import Judged, judge  # noqa: E402
from tools.full.programs import HALVES, SETS, Case, gather, tree_hash  # noqa: E402
from tools.full.recorded import changes, measured, rates, write_json  # noqa: E402
from tools.full.running import ForkServers, Outcome, Processes, Results, differing, run_all  # noqa: E402
from tools.full.shown import page, tables  # noqa: E402

FAULTS = REPO / "faults"
FOLDER = REPO / "build" / "faults-full"
MEASURED = FAULTS / "measured.json"
RATES = (FAULTS / "rates.json", REPO / "src" / "unbug" / "detect" / "rates.json")
PEERS = FAULTS / "peers.json"
PAGE = REPO / "docs" / "explanation" / "measured-rules.md"
SHOWN = 60  # lines about single programs of the dev half


def main(arguments: list[str]) -> int:
    """Run what is missing, score, show and record."""
    options = _options(arguments)
    console = Console(highlight=False)
    package = _package()
    tree = tree_hash(package)
    cases = _chosen(
        gather(FAULTS, options.folder / "programs", sets=options.sets, half=options.half), options
    )
    results = Results(options.folder / "results")
    missing = cases if options.again else results.missing(cases, tree)
    if options.score_only:
        missing = []
    known = len(cases) - len(missing)
    console.print(
        f"{len(cases)} programs; {known} known, {len(missing)} to run with unbug {tree} in {package}",
        soft_wrap=True,
    )
    try:
        _run(missing, results, options, tree, console)
    except KeyboardInterrupt:
        console.print("interrupted; what was run is kept, the same command goes on from there")
        return 130
    outcomes = {case.name: found for case in cases if (found := results.get(case.name))}
    if options.like:
        count, names = differing(outcomes, results, Results(options.like / "results"))
        told = f": {', '.join(names)}" if names else ""
        console.print(f"{count} programs are in {options.like} too; findings differ in {len(names)}{told}")
    judged = judge(cases, outcomes, FAULTS)
    _show(judged, options, console, tree)
    troubles = [
        outcomes[case.name] for case in cases if case.name in outcomes and outcomes[case.name].problem
    ]
    hidden = {case.name for case in cases if case.half == "held" and not options.show_held}
    for outcome in troubles:
        name = "a program of the held half" if outcome.name in hidden else outcome.name
        console.print(f"[red]failed[/]: {name}: {escape(outcome.problem)}")
    return 1 if troubles else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--half", choices=HALVES, help="this half only; dev is what rules may be written with"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, help="these sets only")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these programs, groups or classes only")
    parser.add_argument("--sample", type=int, metavar="N", help="N programs of each set and half, by hash")
    parser.add_argument("--workers", type=int, default=int(os.environ.get("WORKERS", "2")))
    parser.add_argument(
        "--again", action="store_true", help="diagnose anew; run only what --keep did not keep"
    )
    parser.add_argument("--keep", action="store_true", help="keep the runs, under FOLDER/runs")
    parser.add_argument("--score-only", action="store_true", help="run nothing, score what there is")
    parser.add_argument("--preload", action="store_true", help="fork interpreters that have imported torch")
    parser.add_argument("--show-held", action="store_true", help="show single programs of the held half too")
    parser.add_argument(
        "--record", action="store_true", help="record the figures though programs were left out"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where programs, results and runs go")
    parser.add_argument("--like", type=Path, metavar="FOLDER", help="compare findings with those of a FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args(arguments)
    options.folder = options.folder.resolve()
    return options


def _package() -> Path:
    spec = importlib.util.find_spec("unbug")
    assert spec and spec.origin
    return Path(spec.origin).parent


def _chosen(cases: list[Case], options: argparse.Namespace) -> list[Case]:
    if options.only:
        wanted = set(options.only)
        return [one for one in cases if wanted & {one.name, one.facts.get("group"), one.facts.get("fault")}]
    if options.sample is None:
        return cases
    chosen = []
    for kind in sorted({(one.set, one.half) for one in cases}):
        group = [one for one in cases if (one.set, one.half) == kind]
        chosen += sorted(group, key=lambda one: hashlib.sha256(one.name.encode()).digest())[: options.sample]
    return chosen


def _run(
    missing: Sequence[Case], results: Results, options: argparse.Namespace, tree: str, console: Console
) -> None:
    if not missing:
        return
    workers = min(options.workers, len(missing))
    unbug = ForkServers(workers) if options.preload else Processes()
    began, done = time.monotonic(), 0

    def told(case: Case, outcome: Outcome) -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - began) / done * (len(missing) - done)
        name = case.name if case.half == "dev" or options.show_held else "(held)"
        if console.is_terminal:
            console.print(f"{done}/{len(missing)}  {left / 60:.0f} min left  {name:40}", end="\r")
        elif done % 10 == 0 or done == len(missing):
            console.print(f"{done}/{len(missing)}  {left / 60:.1f} min left")

    run_all(
        list(missing), unbug, results, work=options.folder / "work", tree=tree, workers=workers,
        keep=options.folder / "runs" if options.keep or options.again else None, again=options.again,
        told=told,
    )  # fmt: skip


def _show(judged: list[Judged], options: argparse.Namespace, console: Console, tree: str) -> None:
    from unbug import __version__

    date = datetime.date.today().isoformat()
    now = measured(judged, date=date, version=__version__, tree=tree)
    before = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    moved = changes(now, before)
    console.print(tables(now, moved, per_class=True))
    if before:
        console.print(f"changes are against {before['date']}, unbug {before['version']} {before['tree']}")
    _single(judged, options, console)
    if options.json:
        write_json(options.json, now)
    whole = not (options.half or options.only or options.sample) and set(options.sets) == set(SETS)
    if options.record or (whole and not options.score_only):
        _record(judged, now)
        console.print(
            f"recorded in {MEASURED.relative_to(REPO)}, faults/rates.json, {PAGE.relative_to(REPO)}"
        )


def _single(judged: list[Judged], options: argparse.Namespace, console: Console) -> None:
    """What went wrong, program by program."""
    lines = []
    for one in judged:
        if one.half == "held" and not options.show_held:
            continue
        said = ", ".join(f"{a.rule} ({'/'.join(a.classes)})" for a in one.alerts[:3])
        if one.healthy and one.alerts:
            lines.append(f"[red]false alarm[/]  {one.name}: {said}")
        elif not one.healthy and not one.alerts:
            lines.append(f"[yellow]missed[/]       {one.name}: {one.fault}")
        elif not one.healthy and one.rank != 1:
            lines.append(f"[yellow]wrong first[/]  {one.name}: {one.fault}, said {said}")
    for line in sorted(lines)[:SHOWN]:
        console.print(line, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"and {len(lines) - SHOWN} more; --only CLASS shows those of a class")


def _record(judged: list[Judged], now: dict[str, object]) -> None:
    from unbug.detect.discovery import rules

    codes = [rule.code for rule in rules()]
    table = rates(judged, codes, date=str(now["date"]), version=str(now["version"]))
    write_json(MEASURED, now)
    for path in RATES:
        write_json(path, table)
    peers = json.loads(PEERS.read_text(encoding="utf-8")) if PEERS.exists() else None
    PAGE.write_text(page(now, table, peers), encoding="utf-8")
    pages = [sys.executable, str(REPO / "tools" / "generate.py")]
    here = {**os.environ, "PYTHONPATH": str(REPO / "src")}  # another copy of unbug may have been measured
    subprocess.run(pages, env=here, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
