"""What `pip install .` puts on a machine: all of it, and usable without PyTorch."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from unbug.cli.main import COMMANDS

REPO = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from a copy so that nothing is left in the work tree."""
    copy = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, copy)
    shutil.copytree(REPO / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "-w",
        "out",
    ]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=120)
    (path,) = (copy / "out").glob("unbug-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package(wheel):
    source = REPO / "src"
    files = {str(path.relative_to(source)) for path in (source / "unbug").rglob("*") if path.is_file()}
    wanted = {name for name in files if "__pycache__" not in name and not name.endswith((".c", ".h", ".so"))}
    assert wanted - set(wheel.namelist()) == set()


def test_the_wheel_has_the_command_and_the_licence(wheel):
    entries = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert b"unbug = unbug.__main__:main" in wheel.read(entries)
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_without_torch(command):
    program = (
        "import sys; sys.modules['torch'] = None; from unbug.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"unbug {command}" in done.stdout
