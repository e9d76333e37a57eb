"""Runs that are none, newer, damaged or made to harm: every command says what is so, and nothing acts."""

from __future__ import annotations

import json
import os
import shutil

import pytest

READING = (("show",), ("diagnose",), ("ls",), ("tail",), ("sql", "--tables"), ("export", "-o", "out"))
HOSTILE = "a\x1b[31m\u202eevil\x07"


@pytest.fixture
def run(trained, unbug):
    """A copy of a run, beside another that is whole."""
    for name in ("bad", "whole"):
        shutil.copytree(trained.runs / "first-run", unbug.runs / name)
    return unbug.runs / "bad"


def _change(run, **fields):
    manifest = run / "run.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | fields))


@pytest.mark.parametrize("command", [*READING, ("pack",), ("report", "-o", "-"), ("mv", "x"), ("tag", "+x")],
                         ids=lambda words: words[0])  # fmt: skip
@pytest.mark.parametrize("what", ["cut", "newer"])
def test_no_command_takes_what_is_no_run(run, unbug, command, what):
    if what == "newer":
        _change(run, format_version=7)
    else:
        (run / "run.json").write_text('{"id": ' if what == "cut" else "")
    done = unbug(command[0], run, *command[1:], code=2)
    says = "store format 7, this unbug reads up to 1" if what == "newer" else "its run.json cannot be read"
    assert says in done.stderr and done.stdout == ""


def test_ls_says_what_it_does_not_list(run, unbug):
    _change(run, format_version=7)
    done = unbug("ls")
    assert len(done.stdout.splitlines()) == 2 and "whole" in done.stdout
    assert "not listed" in done.stderr and "store format 7" in done.stderr


def test_names_do_not_act(run, unbug):
    facts = {"command": [HOSTILE], "git": 5, "packages": [1], "hardware": {"cpu": HOSTILE}, "host": {}}
    _change(run, name=HOSTILE, tags=[HOSTILE, 5, None], facts=facts)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"message": HOSTILE, "lost": [HOSTILE]}))
    for command in (*READING, ("tag",), ("sql", "select * from run"), ("export", "run")):
        done = unbug(command[0], run, *command[1:], env={"COLUMNS": "80"})
        for shown in (done.stdout, done.stderr):
            assert not any(sign in shown for sign in HOSTILE if not sign.isprintable()), command
    assert "\x1b" not in unbug("show", HOSTILE, code=0).stdout


def test_damage_is_said(run, unbug):
    (writer,) = (run / "writers").iterdir()
    (writer / "live-000007.log").write_bytes(b"something else")
    (writer / "live-000008.log").symlink_to("/etc/passwd")
    (run / "writers" / "elsewhere").symlink_to("/")
    os.mkfifo(writer / "live-000009.log")
    for command in READING:
        if command not in (("ls",), ("sql", "--tables")):
            done = unbug(command[0], run, *command[1:])
            assert "part of" in done.stderr and "live-000007.log: it is no log of unbug" in done.stderr, (
                command
            )
            assert "root:" not in done.stdout
    unbug("pack", run, "-o", "x.unbug")
    assert b"root:" not in (unbug.folder / "x.unbug").read_bytes()
    shutil.rmtree(run / "writers")
    assert "writers: No such file" in unbug("show", run).stderr


@pytest.mark.parametrize(
    "name", ["..", ".", "/", "../../x", "con", "a:b", "x" * 300, "\u202eevil", "-", "@last"]
)
def test_no_name_leads_elsewhere(run, unbug, name):
    done = unbug("mv", "--dir", unbug.runs, run, "--", name)
    (moved,) = (one for one in unbug.runs.iterdir() if one.name not in ("whole", ".gitignore"))
    assert done.stdout.strip() == str(moved) and moved.parent == unbug.runs
    assert (moved / "run.json").is_file() and json.loads((moved / "run.json").read_text())["name"] == name
    assert moved.name.isprintable() and len(moved.name) <= 100 and moved.name.casefold() != "con"
    assert not any(sign in moved.name for sign in '/\\:*?"<>|@')
    assert sorted(one.name for one in unbug.folder.iterdir()) == ["runs"]
