"""The programs that rules are measured with, gathered into one folder with one manifest.

Three sets: `corpus` (faults/*.py), `generated` (faults/generated) and `healthy` (faults/healthy), the latter
two with a `dev` half, which rules were written with, and a `held` half, which they were not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["HALVES", "SETS", "Case", "gather", "tree_hash", "write_manifest"]

SETS = ("corpus", "generated", "healthy")
HALVES = ("dev", "held")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program and what is known of it."""

    name: str
    set: str
    half: str
    script: Path
    facts: Mapping[str, Any]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return bool(self.facts["healthy"])

    @property
    def digest(self) -> str:
        """SHA-256 of the program."""
        return hashlib.sha256(self.script.read_bytes()).hexdigest()


def gather(faults: Path, into: Path, *, sets: Iterable[str] = SETS, half: str | None = None) -> list[Case]:
    """Write the programs under `into`, anew, and tell what is known of each.

    Raises:
        ValueError: two programs have one name.
    """
    shutil.rmtree(into, ignore_errors=True)
    cases: list[Case] = []
    for name in sets:
        for part in (half,) if half else HALVES:
            folder = into / name / part
            if _written(faults, name, part, folder):
                cases += _read(folder, name, part)
    names = [case.name for case in cases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several programs are called {', '.join(twice)}; rename all but one")
    return cases


def _written(faults: Path, name: str, half: str, folder: Path) -> bool:
    """Write the programs of one set and half; False if there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "corpus":
        if half != "dev":
            return False
        for path in [*faults.glob("*.py"), faults / "manifest.toml"]:
            shutil.copy(path, folder / path.name)
        return True
    generator = faults / name / "generate.py"
    if not generator.exists():
        return False
    command = [sys.executable, str(generator), str(folder), "--half", half]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return True


def _read(folder: Path, name: str, half: str) -> list[Case]:
    told = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    return [
        Case(name=Path(facts["file"]).stem, set=name, half=half, script=folder / facts["file"], facts=facts)
        for facts in told.get("case", [])
    ]


def write_manifest(cases: Iterable[Case], faults: Path, folder: Path) -> Path:
    """Write one manifest of these programs, with the vocabulary beside it, for the corpus' scorer."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(faults / "vocabulary.toml", folder / "vocabulary.toml")
    wanted = ("file", "healthy", "fault", "accept", "where", "lines")
    tables = []
    for case in cases:
        facts = {key: case.facts[key] for key in wanted if key in case.facts}
        tables.append(
            "[[case]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())
        )
    path = folder / "manifest.toml"
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


def tree_hash(package: Path) -> str:
    """Hash the files of the package that decide what is recorded and found; measured figures do not count."""
    parts = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".toml", ".c", ".json") and path.name != "rates.json":
            parts.update(f"{path.relative_to(package)}\0".encode())
            parts.update(path.read_bytes())
    return parts.hexdigest()[:16]
