"""How long `import unbug` and `unbug --help` take, above a bare interpreter.

Each figure is the median of fresh processes, taken in turn with `python -c pass`, whose median is taken off
for the import: an interpreter's own start is not ours.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bars import at_most, holds

ROUNDS = 15
HEAVY = ("torch", "numpy", "pyarrow", "duckdb", "rich")


def seconds(*arguments: str) -> float:
    """Wall time of one fresh interpreter."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure in turn, state the bars."""
    bare, loaded, helped = [], [], []
    seconds("-m", "unbug", "--help")  # compiles the files once
    for _ in range(ROUNDS):
        bare.append(seconds("-c", "pass"))
        loaded.append(seconds("-c", "import unbug"))
        helped.append(seconds("-m", "unbug", "--help"))
    note = f"median of {ROUNDS} processes; a bare interpreter takes {statistics.median(bare) * 1e3:.0f} ms"
    above = statistics.median(loaded) - statistics.median(bare)
    at_most("import unbug", above * 1e3, 50, unit="ms", note=note)
    at_most("unbug --help", statistics.median(helped) * 1e3, 250, unit="ms", note="whole process")
    program = f"import sys, unbug; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    found = done.stdout.strip()
    holds("import unbug loads nothing heavy", not found, bar="none", measured=found or "none")


if __name__ == "__main__":
    main()
