"""What differs between two runs of a public program; see `real.py`."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from same import _first_difference  # type: ignore[import-not-found]

__all__ = ["Ran", "differences", "masked"]

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".tar", ".bin")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one run of a program left behind."""

    status: int
    streams: Mapping[str, bytes]
    files: Mapping[str, Path]
    peak_bytes: int
    wall_s: float
    left_behind: tuple[str, ...]


def masked(content: bytes, varies: Sequence[str]) -> bytes:
    """What was printed, without the parts that vary by their nature."""
    content = content.replace(b"\r", b"\n")
    for pattern in varies:
        content = re.sub(pattern.encode(), b"*", content, flags=re.MULTILINE)
    return content


def _named(ran: Ran, program: Mapping) -> dict[str, Path]:
    """The written files by a name that is the same each time."""
    found = {}
    for name, path in ran.files.items():
        if any(fnmatch.fnmatch(name, f"*{pattern}") for pattern in program.get("ignored", ())):
            continue
        steady = re.sub(r"tfevents\.[\w.-]+", "tfevents", name)
        found[masked(steady.encode(), program.get("varies", ())).decode()] = path
    return found


def differences(bare: Ran, other: Ran, program: Mapping, python: str) -> list[str]:
    """What is not the same, in words."""
    found = []
    if other.status != bare.status:
        found.append(f"ends with {other.status}, bare with {bare.status}")
    varies = program.get("varies", ())
    for stream in ("stdout", "stderr"):
        one, two = (masked(ran.streams[stream], varies) for ran in (bare, other))
        if one != two:
            found.append(f"{stream}: {_first_difference(one, two)}")
    if other.left_behind:
        found.append(f"leaves processes behind: {'; '.join(other.left_behind)}")
    here, there = _named(bare, program), _named(other, program)
    if set(here) != set(there):
        found.append(f"writes {sorted(set(there) - set(here))}, lacks {sorted(set(here) - set(there))}")
    for name in sorted(set(here) & set(there)):
        differs = _file_difference(here[name], there[name], program, python)
        if differs:
            found.append(f"{name}: {differs}")
    return found


def _file_difference(one: Path, two: Path, program: Mapping, python: str) -> str:
    if one.read_bytes() == two.read_bytes():
        return ""
    if "tfevents" in one.name:
        left, right = (_logged(path, program.get("logged_varies", ())) for path in (one, two))
        return "" if left == right else f"logs {right[:3]}…, bare {left[:3]}…"
    if one.suffix in CHECKPOINTS:
        line = [python, str(Path(__file__).with_name("real_equal.py")), str(one), str(two)]
        told = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        return "" if told.returncode == 0 else (told.stdout or told.stderr).strip()[-300:]
    if masked(one.read_bytes(), program.get("varies", ())) == masked(
        two.read_bytes(), program.get("varies", ())
    ):
        return ""
    return f"{two.stat().st_size} bytes differ from {one.stat().st_size} bare"


def _logged(path: Path, varies: Sequence[str]) -> list[tuple[str, int, str]]:
    """What an event file holds, without the time of day."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return [
        (value.tag, event.step, re.sub(r"__\d{10}", "", repr(value)))
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
        if not any(re.search(pattern, value.tag) for pattern in varies)
    ]
