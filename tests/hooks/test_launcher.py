"""Small programs, under `python` and under the launcher: same output, same errors, same exit status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.hooks.programs import CASES, Case
from unbug.errors import ScriptNotFoundError
from unbug.hooks import find_module, find_script

LATE = "END failed 1 ZeroDivisionError late"
DRIVE = str(Path(__file__).parent / "drive.py")


def lay_out(case: Case, folder: Path) -> None:
    source = textwrap.dedent(case.source).strip("\n") if isinstance(case.source, str) else case.source
    (folder / "program.py").write_bytes(source.encode() if isinstance(source, str) else source)
    for name, text in case.files:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(
                    "__main__.py", "import sys, near; print(__file__, sys.argv, near.x, sys.path[0]); 1 / 0"
                )
                archive.writestr("near.py", "x = 4")
        else:
            path.write_text(textwrap.dedent(text).strip("\n"))


def start(
    words: Sequence[str], folder: Path, *, stdin: str = "", options: Sequence[str] = (), **variables: str
):
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COVERAGE"))
    }
    command = [sys.executable, *options, *words]
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", **variables}
    done = subprocess.run(command, cwd=folder, input=stdin.encode(), capture_output=True,
                          env=environment, timeout=60, check=False)  # fmt: skip
    return done.returncode, done.stdout.decode(), re.sub("at 0x[0-9a-f]+", "at 0x0", done.stderr.decode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_runs_as_under_python(case: Case, tmp_path: Path) -> None:
    lay_out(case, tmp_path)
    bare = start(case.words, tmp_path, stdin=case.stdin, options=case.options)
    ours = start([DRIVE, *case.words], tmp_path, stdin=case.stdin, options=case.options)
    assert ours == bare


def test_a_relative_script_behind_a_link_keeps_its_name_and_imports_from_its_real_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "program.py").write_text("import sys; print(__file__, sys.argv, sys.path[0])")
    (tmp_path / "linked.py").symlink_to(tmp_path / "real" / "program.py")
    for word in ("linked.py", "./linked.py", "real/../linked.py", str(tmp_path / "linked.py")):
        assert start([DRIVE, word], tmp_path) == start([word], tmp_path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("print(1)", "END finished 0"),
        ("import sys; sys.exit(4)", "END failed 4"),
        ("import sys; sys.exit('why')", "END failed 1"),
        ("1 / 0", "END failed 1 ZeroDivisionError"),
        ("raise KeyboardInterrupt", "END interrupted 130 KeyboardInterrupt"),
        ("import sys\nsys.excepthook = lambda *a: sys.exit(7)\n1 / 0", "END failed 7 ZeroDivisionError"),
        ("import threading, time\nthreading.Timer(0.2, print).start()", "END finished 0  late"),
        ("import concurrent.futures as f\np = f.ThreadPoolExecutor()\np.submit(abs, 1)\n1 / 0", LATE),
        ("import os\nif os.fork(): os.wait()", "END finished 0"),
    ],
)  # fmt: skip
def test_tells_how_it_ended_once_and_last(source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(source)
    bare = start(["program.py"], tmp_path)
    code, out, errors = start([DRIVE, "program.py"], tmp_path, DRIVE_SAY="1")
    assert (code, out) == bare[:2]
    *before, last = errors.splitlines()
    assert last.rstrip() == said
    assert "\n".join(before) == bare[2].rstrip("\n")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("print('x')", 3),
        ("import sys; sys.exit(0)", 3),
        ("import sys; sys.exit(5)", 5),
        ("1 / 0", 1),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(0.2,)).start()\nprint('x')", 3),
    ],
)
def test_the_finishing_may_give_a_code_to_a_program_that_succeeded(
    source: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(source)
    bare = start(["program.py"], tmp_path)
    ours = start([DRIVE, "program.py"], tmp_path, DRIVE_CODE="3")
    assert ours[0] == code
    assert ours[1] == bare[1]


def test_a_fault_while_finishing_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("print('x')")
    code, out, errors = start([DRIVE, "program.py"], tmp_path, DRIVE_FAIL="1")
    assert (code, out) == (0, "x\n")
    assert errors.startswith("unbug: could not finish the run: ")
    assert "a fault of unbug" in errors


def test_an_interrupted_program_ends_by_the_signal(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("raise KeyboardInterrupt")
    assert start([DRIVE, "program.py"], tmp_path)[0] == -signal.SIGINT


def test_a_missing_program_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    closed = tmp_path / "closed.py"
    closed.symlink_to("closed.py")
    for find, name, reason in (
        (find_script, "none.py", "no such file"),
        (find_script, str(tmp_path / "folder"), "without `__main__.py`"),
        (find_script, str(closed), "too many levels of symbolic links"),
        (find_module, "no_such_module", "there is no module named 'no_such_module'"),
        (find_module, "no_such_module.sub", "there is no module named 'no_such_module'"),
        (find_module, "not a name", "'not a name' is no module name"),
        (find_module, "", "is no module name"),
    ):
        with pytest.raises(ScriptNotFoundError, match="cannot run") as caught:
            find(name)
        assert reason in str(caught.value)
        assert caught.value.exit_code == 2
