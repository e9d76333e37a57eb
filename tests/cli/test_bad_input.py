"""Each wrong input has a message that says what to do, and a documented exit code; never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

WRONG = {
    "no program": (("run",), 2, "nothing to run", "SCRIPT"),
    "missing script": (("run", "nowhere.py"), 2, "cannot run 'nowhere.py': no such file", "-m MODULE"),
    "missing module": (("run", "-m", "no_such_module"), 2, "no_such_module", "-m MODULE"),
    "budget": (
        ("run", "--budget", "200%", "x.py"),
        2,
        "setting `budget` cannot be '200%' (from --budget)",
        "2%",
    ),
    "disk": (("run", "--disk", "big", "x.py"), 2, "setting `disk` cannot be 'big'", "200MB"),
    "every": (("run", "--every", "0", "x.py"), 2, "setting `every` cannot be '0'", "1 or more"),
    "severity": (("run", "--fail-on", "note", "x.py"), 2, "setting `fail_on` cannot be 'note'", "warning"),
    "option": (("run", "--nonsense", "x.py"), 2, "unrecognized arguments: --nonsense", "usage"),
    "command": (("frobnicate",), 2, "frobnicate", "usage"),
    "run": (("show", "nowhere"), 2, "no run 'nowhere'", "unbug run SCRIPT"),
    "last of none": (("diagnose", "@last"), 2, "no run '@last'", "unbug run SCRIPT"),
    "folder": (("show", "."), 2, "is not a run of unbug", "unbug ls"),
    "rule": (("rule", "Z999"), 2, "there is no rule 'Z999'", "unbug rules"),
    "shell": (("completion", "fish"), 2, "fish", "bash"),
}


@pytest.mark.parametrize(("words", "code", "says", "advice"), WRONG.values(), ids=WRONG)
def test_wrong_input(unbug, words, code, says, advice):
    done = unbug(*words, code=code)
    assert says in done.stderr
    assert advice in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


ASKED_OF_A_RUN = {
    "wrong sql": (("sql", "@last", "select nonsense from scalars"), 2, "cannot answer the query", "--tables"),
    "sql that writes": (("sql", "@last", "create table x (a int)"), 2, "read-only", "--tables"),
    "no query": (("sql", "@last"), 2, "no query given", "--tables"),
    "table": (("export", "@last", "nothing"), 2, "no table 'nothing', only", "scalars"),
    "target": (("report", "@last", "-o", "no/such/folder/x.html"), 2, "cannot write", "-o"),
    "near name": (("show", "first-rum"), 2, "no run 'first-rum'", "first-run"),
    "rm unasked": (("rm", "@last"), 2, "will not remove", "--yes"),
}


@pytest.mark.parametrize(("words", "code", "says", "advice"), ASKED_OF_A_RUN.values(), ids=ASKED_OF_A_RUN)
def test_wrong_question(trained, words, code, says, advice):
    done = trained(*words, code=code, stdin="")
    assert says in done.stderr
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_newer_format(trained, tmp_path):
    path = tmp_path / "newer"
    shutil.copytree(trained.runs / "first-run", path)
    manifest = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**manifest, "format_version": 99}))
    done = trained("show", path, code=2)
    assert "store format 99" in done.stderr
    assert "pip install -U unbug" in done.stderr


def test_unwritable_directory(unbug):
    unbug.write("train.py", "print('never reached')")
    unbug.write("file", "")
    done = unbug("run", "--dir", "file/runs", "train.py", code=1)
    assert "cannot make a run in" in done.stderr
    assert "--dir" in done.stderr


@pytest.mark.parametrize(
    "name", ["ünïcode ✓", "a/b\\c", "../up", "con", ".", "x" * 300, "-dash", "new\nline"]
)
def test_any_name_makes_one_folder(unbug, name):
    unbug.write("plain.py", "print('hello')")
    unbug("run", f"--name={name}", "plain.py")
    found = json.loads(unbug("ls", "--json").stdout)
    assert [run["name"] for run in found] == [name]
    path = found[0]["path"]
    assert os.path.dirname(path) == str(unbug.runs)
    assert unbug("show", found[0]["id"]).stdout


def test_two_writers_of_one_name(unbug):
    unbug.write("plain.py", "import time; print('hello'); time.sleep(0.3)")
    command = [sys.executable, "-m", "unbug", "run", "--name", "same", "plain.py"]
    both = [
        subprocess.Popen(command, cwd=unbug.folder, env=unbug.environment(), stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for one in both:
        one.communicate(timeout=60)
    assert [one.returncode for one in both] == [0, 0]
    found = json.loads(unbug("ls", "--json").stdout)
    assert sorted(os.path.basename(run["path"]) for run in found) == ["same", "same-2"]
    assert {run["state"] for run in found} == {"finished"}


def test_a_script_that_fails_at_import(unbug):
    unbug.write("broken.py", "import no_such_module_at_all\n")
    done = unbug("run", "broken.py", code=1)
    bare = subprocess.run(
        [sys.executable, "broken.py"], cwd=unbug.folder, capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith(bare.stderr)
    found = json.loads(unbug("show", "@last", "--json").stdout)
    assert found["state"] == "failed"
    assert "no_such_module_at_all" in found["crash"]["traceback"]


def test_unbug_debug_shows_the_traceback(unbug):
    assert "Traceback" in unbug("rule", "Z999", env={"UNBUG_DEBUG": "1"}, code=1).stderr


def test_a_reader_that_goes_away_is_no_failure(trained):
    command = (
        f"{sys.executable} -m unbug sql @last 'select * from range(100000)' --csv --rows 100000 | head -n 1"
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=trained.folder, env=trained.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == "range\n"
