"""What being there costs a Python process that never imports torch, and how long joining a run takes.

Each figure is the processor time of a whole process, start to end, less that of the same process without
unbug, taken in turn; the median over rounds, with the quartiles beside it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

from bars import at_most

import unbug
from unbug.hooks import child_environment

ROUNDS = 60
PACKAGE = Path(unbug.__file__).parent


def processor_ms(words: list[str], environment: Mapping[str, str]) -> float:
    """User and system time of a process, in milliseconds."""
    child = subprocess.Popen(words, env=dict(environment), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{words} ended with {child.returncode}")
    return 1e3 * (used.ru_utime + used.ru_stime)


def installed(folder: Path) -> str:
    """A Python with unbug as a wheel installs it; returns its path."""
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    words = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    packages = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "unbug").symlink_to(PACKAGE)
    return python


def main() -> None:
    """Measure and state."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNBUG", "PYTHON"))}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        bare, plain = installed(folder / "bare"), installed(folder / "plain")
        packages = next((folder / "plain" / "lib").glob("python*/site-packages"))
        shutil.copy(PACKAGE / "hooks" / "child" / "unbug.pth", packages)
        ways = {
            "python, unbug installed": (plain, kept),
            "a child, by PYTHONPATH": (bare, kept | child_environment(folder, {})),
            "a child, by unbug.pth": (plain, kept | {"UNBUG_RUN_PATH": made}),
            "UNBUG=1 python": (plain, kept | {"UNBUG": "1"}),
        }
        more: dict[str, list[float]] = {name: [] for name in ways}
        control = []
        for number in range(ROUNDS):
            without = processor_ms([bare, "-c", "pass"], kept)
            control.append(processor_ms([bare, "-c", "pass"], kept) - without)
            for name, (python, environment) in ways.items():
                spent = processor_ms([python, "-c", "pass"], environment) - without
                if number >= 3:  # the first ones write what is compiled
                    more[name].append(spent)
    low, middle, high = statistics.quantiles(control)
    print(f"control, the same process twice: {middle:.2f} ms ({low:.2f} to {high:.2f})", file=sys.stderr)
    for name, spent in more.items():
        low, middle, high = statistics.quantiles(spent)
        limit = 1 if name == "python, unbug installed" else 10
        note = f"more processor time than without unbug; quartiles {low:.2f} and {high:.2f}"
        at_most(f"{name}, that never imports torch", middle, limit, unit="ms", note=note)


if __name__ == "__main__":
    main()
