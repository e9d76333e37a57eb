"""The rooms: which imports run where, what each room shows, and that `import unbug` is light."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tools import check_rooms

REPO = Path(__file__).parent.parent
HEAVY = ("torch", "numpy", "pyarrow", "duckdb", "rich", "pandas", "psutil", "fastapi")


def test_every_import_follows_the_table():
    assert [str(violation) for violation in check_rooms.check()] == []


def test_every_folder_is_a_room():
    there = {
        path.stem
        for path in check_rooms.ROOT.iterdir()
        if (path.is_dir() and path.name != "__pycache__") or path.suffix == ".py"
    }
    assert there - {"__init__", "__main__"} == set(check_rooms.ROOMS)


def _documented() -> dict[str, set[str]]:
    """Rooms and what they may import, read from the table of docs/explanation/architecture.md."""
    text = (REPO / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \| .+? \| (.+?) \|$", text.split("## One step")[0], flags=re.M)
    allowed: dict[str, set[str]] = {}
    above: list[str] = []
    for names, words in rows:
        rooms = re.findall(r"`(\w+)`", names)
        may = set(re.findall(r"`(\w+)`", words))
        if re.search(r"\b(rows?|all) above\b|\bany room\b", words):
            may |= set(above)
        if "ground" in words:
            may |= set(check_rooms.GROUND)
        for room in rooms:
            allowed[room] = may | (set(rooms) - {room})
        above += rooms
    return allowed


def test_the_table_is_the_documented_one():
    table = {name: set(room.rooms) - {name} for name, room in check_rooms.ROOMS.items()}
    assert table == _documented()


def test_public_names_are_pinned():
    golden = (REPO / "tests/golden/names.txt").read_text(encoding="utf-8")
    assert check_rooms.names_text() == golden, (
        "public names changed; if that is meant: python tools/check_rooms.py --names > tests/golden/names.txt"
    )


@pytest.mark.parametrize("module", check_rooms.public_names())
def test_public_names_exist(module):
    room = importlib.import_module(module)
    missing = [name for name in check_rooms.public_names()[module] if not hasattr(room, name)]
    assert missing == []


@pytest.mark.parametrize("module", ["unbug", "unbug.errors", "unbug.types", "unbug.__main__"])
def test_import_is_light(module):
    program = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("room", [name for name, rule in check_rooms.ROOMS.items() if "torch" in rule.never])
def test_readers_never_load_torch(room):
    program = f"import sys, pkgutil, importlib, unbug.{room} as room\n" + textwrap.dedent("""
        for found in pkgutil.walk_packages(getattr(room, "__path__", ()), room.__name__ + "."):
            importlib.import_module(found.name)
        print("torch" in sys.modules)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


VIOLATIONS = {
    "upwards": ("store/a.py", "from unbug.session import run", "store imports session"),
    "upwards by verb": ("store/a.py", "from unbug import open", "store imports session"),
    "upwards, relative": ("store/a.py", "from ..session import run", "store imports session"),
    "upwards inside a function": ("store/a.py", "def f():\n    import unbug.cli", "store imports cli"),
    "upwards under TYPE_CHECKING": (
        "store/a.py",
        "if TYPE_CHECKING:\n    from unbug.cli import x",
        "store imports cli",
    ),
    "upwards by name": ("store/a.py", "importlib.import_module('unbug.cli')", "store imports cli"),
    "sideways": ("report/a.py", "from unbug.record import Recorder", "report imports record"),
    "past the door": ("record/a.py", "from unbug.store.segment import S", "imports unbug.store.segment"),
    "past the door, module": (
        "record/a.py",
        "from unbug.store import segment",
        "imports unbug.store.segment",
    ),
    "torch in a reader": ("detect/a.py", "import torch.nn", "detect imports torch"),
    "numpy in the ground": ("types/a.py", "import numpy", "types imports numpy"),
    "arrow in numerics": ("numerics/a.py", "import pyarrow", "numerics imports pyarrow"),
    "no room": ("extra/a.py", "import unbug.store", "extra is no room"),
    "front": ("__init__.py", "from unbug.store import Reader", "imports store"),
    "front, heavy": ("__init__.py", "import rich", "imports rich"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_a_violation_is_found(tmp_path, case):
    file, code, expected = VIOLATIONS[case]
    _package(tmp_path, {file: code})
    (found,) = check_rooms.check(tmp_path)
    assert expected in found.text
    assert found.file == tmp_path / file
    assert found.line == len(code.splitlines())


def test_what_is_allowed_is_not_found(tmp_path):
    code = """
    import json, numpy, psutil
    from unbug import __version__
    from unbug.store import Reader
    from unbug.store.contract import Writer
    from unbug.store import contract
    import unbug.numerics
    from . import other
    from .deep.er import thing
    if TYPE_CHECKING:
        import torch
    """
    _package(tmp_path, {"detect/a.py": textwrap.dedent(code)})
    assert check_rooms.check(tmp_path) == []


def _package(root: Path, files: dict[str, str]) -> None:
    """A small package with a store that has a contract and an inner module."""
    for name, text in ({"store/contract.py": "", "store/segment.py": ""} | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
