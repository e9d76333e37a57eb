"""Write docs/explanation/real-programs.md from what `real.py` measured: `real_page.py [PYTHON]`.

PYTHON is the interpreter that the programs ran with.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import real  # type: ignore[import-not-found]

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "real-programs.md"
LIBRARIES = "torch torchvision numpy gymnasium tyro tensorboard wandb lightning pytorch-ignite skorch scipy"
_NOT_RUN = "not run, or it differs from one bare run to the next"
ASK = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"

HEAD = """# Real programs

<!-- Written by `bench/real_page.py` from the results of `bench/real.py`. Do not edit. -->

A debugger may not change what it watches. `bench/same.py` holds that against programs written for the
purpose; this page against public training programs by many hands, unchanged. None of them lies in this
repository:

```
python bench/real.py FOLDER              # FOLDER holds clones; says what is missing and how to fetch it
python bench/real.py FOLDER mnist vae    # only these
```

Each is run bare, bare again and under `unbug run` with its default budget, in a new copy at the same path.
Compared are standard output and error, exit code, and every file written: byte for byte, or checkpoints by
their tensors and event files by what was logged. Times, rates and names made of the time of day, which differ
from one bare run to the next, are left out of the comparison (`varies` in `bench/real.toml`). Data are small
and made on the spot (`bench/real_data.py`), so what the programs learn is not what their authors publish.
Where a program seeds nothing it is begun by `bench/real_seeded.py`, which does.

Torchvision was used without its compiled operators, which none of these programs calls.

The runs took turns with other work on the machine's two cores: their times say nothing of unbug's cost, which
`bench/cost.py` measures. The memory is the peak over that of the larger bare run.
"""


def _row(program: Mapping, row: Mapping) -> str:
    told = row["recorded"]
    same = "yes" if not row["changed"] else "**no**"
    steps = f"{told.get('steps', 0)}"
    if program["steps"] >= 0 and told.get("steps") != program["steps"]:
        steps += f" of {program['steps']}"
    lost = told.get("steps", 0) - told.get("losses", 0)
    losses = "all" if lost == 0 else f"{told.get('losses', 0)}"
    files = row["files"]
    cells = [
        f"[{program['name']}]({program['address']}/tree/{program['commit']}/{program['root'].partition('/')[2]})",
        program["style"], same, f"{files}", steps, losses, f"{told.get('trainings', 0)}",
        f"{row['more_mb']:+.0f} MB",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _findings(program: Mapping, row: Mapping) -> list[str]:
    lines = []
    for one in row["recorded"].get("findings", ()):
        judged = program.get("judged", {}).get(one["rule"], "not judged yet")
        lines.append(
            f"- **{program['name']}**, {one['severity']} {one['rule']} at `{one['place']}`: {one['message']}"
        )
        lines.append(f"  Judged: {judged}.")
    return lines


def page(python: str) -> str:
    """The page."""
    programs = real.table()
    rows = {
        path.stem: json.loads(path.read_text()) for path in sorted((real.RESULTS / "real").glob("*.json"))
    }
    sound = {
        name: row
        for name, row in rows.items()
        if name in programs and not row["control"] and not row["status"]
    }
    shown = [(programs[name], sound[name]) for name in programs if name in sound]
    same = sum(not row["changed"] for _, row in shown)
    findings = [line for program, row in shown for line in _findings(program, row)]
    faults = sum(len(row["recorded"].get("faults", ())) for _, row in shown)
    differing = [
        f"- **{program['name']}**: {'; '.join(row['changed'])}" for program, row in shown if row["changed"]
    ]
    left = [name for name in programs if name not in sound]
    parts = [
        HEAD,
        "## Result\n",
        f"{same} of {len(shown)} programs are the same bare and watched; {faults} faults of unbug itself.\n",
        "| program | style | same | files compared | steps | losses | trainings | more memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *[_row(program, row) for program, row in shown],
        "",
    ]
    if differing:
        parts += ["What differed:", "", *differing, ""]
    parts += ["## What was found in them", ""]
    parts += findings or ["Nothing was stated."]
    if left:
        parts += ["", "## Not measured", ""]
        parts += [f"- **{name}**: {programs[name].get('fails', _NOT_RUN)}." for name in left]
    parts += ["", "## Versions", "", "| repository | commit | licence |", "| --- | --- | --- |"]
    known = {(one["address"], one["commit"], one["licence"]) for one, _ in shown}
    parts += [f"| {address} | `{commit[:12]}` | {licence} |" for address, commit, licence in sorted(known)]
    asked = [python, "-c", ASK, *LIBRARIES.split()]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    parts += ["", f"Libraries: {told}."]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(sys.argv[1] if len(sys.argv) > 1 else sys.executable))
    sys.stdout.write(f"{PAGE}\n")
