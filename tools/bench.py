"""Run every benchmark of bench/ and print one table of what was measured against its bar.

`bench.py NAME…` runs only these. Output goes to bench/results/<name>.txt too, and the table, with machine
and date, to bench/results/table.md, so that it can be quoted. Ends with 1 if a bar does not hold or a
benchmark could not measure.
"""

from __future__ import annotations

import datetime
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

REPO = Path(__file__).parent.parent
RESULTS = REPO / "bench" / "results"
MARK = "BAR "  # as bench/bars.py prints it


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the table."""

    bench: str
    what: str
    measured: str
    bar: str
    holds: bool
    note: str = ""


def bars(bench: str, printed: str) -> list[Bar]:
    """The bars among what a benchmark printed."""
    lines = (line for line in printed.splitlines() if line.startswith(MARK))
    return [Bar(bench=bench, **json.loads(line.removeprefix(MARK))) for line in lines]


def is_script(path: Path) -> bool:
    """Whether the file is a benchmark that states bars; the others help those, or say that they take long."""
    text = path.read_text(encoding="utf-8")
    states = re.search(r"^ *(import bars|from bars import)\b", text, re.MULTILINE)
    return states is not None and '__name__ == "__main__"' in text and "Not part of `make bench`" not in text


def run(script: Path) -> list[Bar]:
    """Run one benchmark, showing its output as it comes."""
    began = time.monotonic()
    command, printed = [sys.executable, str(script)], ""
    with subprocess.Popen(
        command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        for line in child.stdout or ():
            printed += line
            if not line.startswith(MARK):
                print(f"  {line}", end="", flush=True)
    code = child.returncode
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{script.stem}.txt").write_text(printed, encoding="utf-8")
    found = bars(script.stem, printed)
    if code or not found:
        told = f"exit code {code}" if code else "stated no bar"
        failed = Bar(bench=script.stem, what="(could not measure)", measured=told, bar="", holds=False)
        found.append(failed)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return found


def machine() -> str:
    """What the figures were measured on, in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    cores = sum(line.startswith("processor") for line in _cpuinfo())
    today = datetime.datetime.now(tz=datetime.UTC).date()
    return f"{model}, {cores} cores, Python {platform.python_version()}, {today}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def markdown(found: Iterable[Bar], head: str) -> str:
    """The table as it stands in the README."""
    lines = [head, "", "| what | measured | bar | holds |", "| --- | --- | --- | --- |"]
    lines += [f"| {b.what} | {b.measured} | {b.bar} | {'yes' if b.holds else '**no**'} |" for b in found]
    return "\n".join(lines) + "\n"


def show(found: Iterable[Bar], head: str) -> None:
    """The table in the terminal."""
    table = Table(title=head, title_justify="left", box=None, pad_edge=False)
    for column in ("bench", "what", "measured", "bar", "holds", "note"):
        table.add_column(column, overflow="fold")
    for b in found:
        table.add_row(b.bench, b.what, b.measured, b.bar, "yes" if b.holds else "[red]no[/red]", b.note)
    Console().print(table)


def main(names: list[str]) -> int:
    there = {path.stem: path for path in sorted((REPO / "bench").glob("*.py")) if is_script(path)}
    unknown = [name for name in names if name not in there]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there is {', '.join(there)}", file=sys.stderr)
        return 2
    found: list[Bar] = []
    for name in names or there:
        print(f"bench/{name}.py", flush=True)
        found += run(there[name])
    head = machine()
    show(found, head)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "table.md").write_text(markdown(found, head), encoding="utf-8")
    return 0 if all(bar.holds for bar in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
