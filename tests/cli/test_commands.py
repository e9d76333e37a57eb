"""Every command on a run that was really recorded."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys

import pytest

from unbug.cli import build_parser
from unbug.cli.main import COMMANDS


def test_help_names_every_command(unbug):
    text = unbug("--help").stdout
    assert all(f"  {name}" in text for name in COMMANDS)
    assert unbug().stdout == text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_directory(unbug, command):
    text = unbug(command, "--help").stdout
    assert "--dir" in text
    assert text.startswith("usage: unbug")


def test_options_are_documented():
    parser = build_parser()
    commands = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
    silent = [
        f"{name} {action.option_strings or action.dest}"
        for name, command in commands.choices.items()
        for action in command._actions
        if not action.help
    ]
    assert silent == []


def test_ls(trained):
    found = json.loads(trained("ls", "--json").stdout)
    assert [run["name"] for run in found] == ["first run"]
    assert found[0]["state"] == "finished"
    assert found[0]["steps"] == 60
    assert found[0]["last_loss"] < 0.7
    assert found[0]["tags"] == ["a", "b"]
    lines = trained("ls").stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "FINDINGS", "STEPS", "LOSS", "TOOK", "STARTED", "TAGS", "ID"]
    assert lines[1].startswith("first-run  finished")
    assert len(trained("ls", "--tag", "nobody").stderr.splitlines()) == 1


@pytest.mark.parametrize("wanted", ["@last", "first-run", "first run", "path", "id", "id prefix"])
def test_a_run_is_found_by_path_id_and_name(trained, wanted):
    run = json.loads(trained("ls", "--json").stdout)[0]
    spelt = {"path": run["path"], "id": run["id"], "id prefix": run["id"][:13]}.get(wanted, wanted)
    assert json.loads(trained("show", spelt, "--json").stdout)["id"] == run["id"]


def test_show(trained):
    text = trained("show", "@last").stdout
    assert text.startswith("first run  finished\n")
    assert "python train.py --lr 0.1" in text
    assert "60 steps, SGD, 178 parameters" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 24
    assert "\x1b" in trained("show", "@last", env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in trained("show", "@last", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


def test_diagnose(trained):
    document = json.loads(trained("diagnose", "@last", "--json").stdout)
    assert document["schema"] == "unbug.findings/1"
    assert document["findings"] == []
    assert trained("diagnose", "@last").stdout


def test_rules_and_rule(unbug):
    known = json.loads(unbug("rules", "--json").stdout)
    assert len(known) >= 7
    listed = unbug("rules").stdout
    for rule in known:
        assert rule["code"] in listed
    page = unbug("rule", known[0]["code"]).stdout
    assert known[0]["name"] in page
    assert "How it decides" in page
    as_json = json.loads(unbug("rule", known[0]["name"], "--json").stdout)
    assert as_json["code"] == known[0]["code"]
    assert as_json["sections"]["Why it matters"]


def test_sql(trained):
    query = "select count(*) as steps, max(step) as last from scalars where name = 'loss.value'"
    assert json.loads(trained("sql", "@last", query, "--json").stdout) == [{"steps": 60, "last": 59}]
    assert trained("sql", "@last", "--dir", trained.runs, query, "--csv").stdout == "steps,last\n60,59\n"
    assert trained("sql", "@last", "-", stdin=query).stdout == "steps  last\n   60    59\n"
    tables = json.loads(trained("sql", "@last", "--tables", "--json").stdout)
    assert ("scalars", "step", "BIGINT") in {(one["table"], one["column"], one["type"]) for one in tables}


def test_sql_says_that_rows_were_cut(trained):
    done = trained("sql", "@last", "select * from range(10)", "--rows", "3", "--csv")
    assert done.stdout == "range\n0\n1\n2\n"
    assert "only the first 3 rows" in done.stderr


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_export_of_one_table(trained, tmp_path, form):
    target = tmp_path / f"scalars.{form}"
    trained("export", "@last", "scalars", "-o", target)
    query = "select count(*) as n from scalars"
    expected = json.loads(trained("sql", "@last", query, "--json").stdout)[0]["n"]
    if form == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(target).num_rows == expected
    elif form == "csv":
        assert len(list(csv.DictReader(io.StringIO(target.read_text())))) == expected
    else:
        assert len([json.loads(line) for line in target.read_text().splitlines()]) == expected


def test_export_of_all_tables(trained, tmp_path):
    trained("export", "@last", "--format", "parquet", "-o", tmp_path / "out")
    tables = {row["table"] for row in json.loads(trained("sql", "@last", "--tables", "--json").stdout)}
    assert {path.stem for path in (tmp_path / "out").iterdir()} == tables


def test_report(trained, tmp_path):
    trained("report", "@last", "-o", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert trained("report", "@last", "-o", "-").stdout.lower().startswith("<!doctype html>")


def test_rm_removes_what_it_named(unbug):
    unbug.write("plain.py", "print('hello')")
    for name in ("a", "b", "c"):
        unbug("run", "--quiet", "--name", name, "plain.py")
    assert unbug("rm", "a", "nowhere", "--yes", code=2).stdout == ""
    assert (unbug.runs / "a").exists()
    assert unbug("rm", "a", "b", "--yes").stdout.count("removed") == 2
    assert [run["name"] for run in json.loads(unbug("ls", "--json").stdout)] == ["c"]


def test_gc_leaves_a_run_as_it_was(unbug):
    unbug.write("plain.py", "print('hello')")
    unbug("run", "--quiet", "plain.py")
    before = json.loads(unbug("show", "@last", "--json").stdout)
    assert "1 run" in unbug("gc").stdout
    after = json.loads(unbug("show", "@last", "--json").stdout)
    assert {**after, "size_bytes": 0} == {**before, "size_bytes": 0}


def test_doctor(unbug):
    done = unbug("doctor", env={"UNBUG_BUDGET": "1%"})
    assert "UNBUG_BUDGET" in done.stdout
    assert "FAIL" not in done.stdout
    found = json.loads(unbug("doctor", "--json", "--dir", "elsewhere").stdout)
    assert {one["name"]: one["origin"] for one in found["settings"]}["dir"] == "--dir"
    assert {check["name"] for check in found["checks"]} >= {"unbug", "torch", "numpy", "runs", "rules"}


def test_doctor_fails_where_nothing_can_be_written(unbug):
    unbug.write("file", "")
    assert "cannot be written" in unbug("doctor", "--dir", "file/runs", code=1).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(unbug, shell):
    script = unbug("completion", shell).stdout
    assert all(name in script for name in COMMANDS)


def test_bash_completes_commands(unbug, tmp_path):
    script = tmp_path / "completion"
    script.write_text(unbug("completion", "bash").stdout)
    ask = 'COMP_WORDS=(unbug dia); COMP_CWORD=1; _shtab_unbug; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", f"source {script}; {ask}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["diagnose"]


def test_nothing_heavy_is_loaded_for_help():
    heavy = ("torch", "numpy", "pyarrow", "duckdb", "rich", "psutil", "shtab")
    program = f"""
import sys, unbug.cli
try:
    unbug.cli.main(["--help"])
except SystemExit:
    print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    "facts",
    [
        {"command": "\x1b[2Jx", "git": "x", "packages": 3, "hardware": None, "python": [1]},
        {"command": [1, None], "git": {"commit": 5}, "hardware": {"cpu": ["\x1b]0;x\x07"]}},
    ],
)
def test_facts_that_no_unbug_wrote_are_shown_and_steer_nothing(trained, tmp_path, facts):
    source = next(trained.runs.glob("*/run.json")).parent
    path = shutil.copytree(source, tmp_path / "copy")
    manifest = json.loads((path / "run.json").read_text())
    deep = json.loads("[" * 500 + "]" * 500)
    changed = {**manifest, "name": "\x1b]0;title\x07name\u202e", "facts": {**facts, "deep": deep}}
    (path / "run.json").write_text(json.dumps(changed))
    shown = trained("show", str(path)).stdout
    assert "name" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    page = tmp_path / "report.html"
    trained("report", str(path), "-o", str(page))
    assert "</html>" in page.read_text()
