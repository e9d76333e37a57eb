"""The wheel: with the kernel where there is a compiler, without it and saying so where there is none."""

import ctypes
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
COMPILER = shutil.which(os.environ.get("CC", "cc").split()[0]) or shutil.which("gcc")
LIBRARY = "unbug/numerics/_kernel.so"


@pytest.fixture
def source(tmp_path):
    """The package as it would be fetched: without what was built here."""
    folder = tmp_path / "source"
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


def build(source, **environment):
    """Build a wheel; the names in it, where it lies and what was printed."""
    target = source.parent / "wheels"
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-v", "-w", str(target))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(source), *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    wheels = list(target.glob("*.whl")) if target.exists() else []
    if not wheels:
        return None, None, said
    return zipfile.ZipFile(wheels[0]).namelist(), wheels[0], said


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here")
def test_the_wheel_holds_the_kernel(source, tmp_path):
    names, wheel, said = build(source, UNBUG_KERNEL="require")
    assert names is not None, said
    assert wheel.name.startswith("unbug-") and "-py3-none-" in wheel.name
    assert LIBRARY in names and not [name for name in names if name.endswith((".c", ".h", ".o"))]
    with zipfile.ZipFile(wheel) as file:
        library = Path(file.extract(LIBRARY, tmp_path))
    library.chmod(0o444)  # neither writable nor executable: it is only mapped
    assert ctypes.CDLL(str(library)).unbug_abi() == 1


@pytest.mark.slow
def test_no_compiler_is_no_error(source, tmp_path):
    names, _, said = build(source, CC=str(tmp_path / "no-compiler"))
    assert names is not None, said
    assert "unbug/numerics/native.py" in names and LIBRARY not in names
    assert "native kernel was not built, numpy is used in its place" in said


@pytest.mark.slow
def test_a_kernel_that_is_required(source, tmp_path):
    names, _, said = build(source, CC=str(tmp_path / "no-compiler"), UNBUG_KERNEL="require")
    assert names is None and "native kernel was not built" in said
