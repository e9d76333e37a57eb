"""`pack`, `mv`, `tag`, and every reading command on a packed run."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def copy(trained, unbug):
    """A command with a run of its own, in the folder of runs."""
    shutil.copytree(trained.runs / "first-run", unbug.runs / "first-run")
    return unbug


@pytest.fixture(scope="module")
def packed(trained, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "one.unbug"
    out = trained("pack", "@last", "-o", target).stdout
    assert out.startswith(f"{target}  (") and target.is_file()
    return target


def test_every_reading_command_opens_a_packed_run(unbug, packed):
    assert unbug("show", packed).stdout.startswith("first run  finished")
    assert json.loads(unbug("show", packed, "--json").stdout)["size_bytes"] == packed.stat().st_size
    assert json.loads(unbug("diagnose", packed, "--json").stdout)["findings"] == []
    out = unbug("sql", packed, "select count(*) as n from scalars where name = 'loss.value'", "--json").stdout
    assert json.loads(out) == [{"n": 60}]
    unbug("export", packed, "scalars", "-o", "x.parquet")
    page = unbug("report", packed, "-o", "x.html").stdout.strip()
    assert (unbug.folder / page).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "one.unbug" in unbug("ls", packed).stdout
    assert unbug("tail", packed).stdout.splitlines()[-1].startswith("finished")
    assert not list(unbug.folder.glob("runs*")), "nothing is unpacked"
    assert sorted(one.name for one in unbug.folder.iterdir()) == ["x.html", "x.parquet"]


def test_pack_names_and_refuses(copy):
    assert copy("pack", "@last").stdout.startswith("first-run.unbug  (")
    assert "is there already" in copy("pack", "@last", code=2).stderr
    copy("pack", "@last", "--force")
    copy("pack", "@last", "--no-data", "-o", "bare.unbug")
    assert copy("sql", "bare.unbug", "select count(*) as n from console", "--csv").stdout == "n\n0\n"
    (copy.folder / "x.unbug").write_bytes(b"nothing")
    assert "x.unbug is not a run of unbug" in copy("show", "x.unbug", code=2).stderr
    with zipfile.ZipFile(copy.folder / "y.unbug", "w") as out:
        out.writestr("../../evil", "x")
    assert "leads elsewhere" in copy("show", "y.unbug", code=2).stderr


def test_mv(copy):
    assert copy("mv", "@last", "a better name").stdout.strip() == str(copy.runs / "a-better-name")
    assert copy("show", "a better name").stdout.startswith("a better name")
    assert "no run 'first-run'" in copy("show", "first-run", code=2).stderr
    assert "cannot be called ''" in copy("mv", "@last", "", code=2).stderr
    moved = Path(copy("mv", "@last", "../../../x").stdout.strip())
    assert moved.parent == copy.runs and "/" not in moved.name


def test_tag(copy):
    assert copy("tag", "@last").stdout.split() == ["a", "b"]
    assert copy("tag", "@last", "+c", "-a", "+-d").stdout.split() == ["b", "c", "-d"]
    assert json.loads(copy("tag", "--json", "@last", "--", "--d", "-b").stdout) == ["c"]
    assert [one["tags"] for one in json.loads(copy("ls", "--tag", "c", "--json").stdout)] == [["c"]]
    assert "`+TAG` adds a tag" in copy("tag", "@last", "c", code=2).stderr
    assert "a tag cannot be" in copy("tag", "@last", "+ ", code=2).stderr


def test_ls_of_several_places(copy, packed):
    found = json.loads(copy("ls", "runs", packed, "--json").stdout)
    assert len(found) == 2 and len({one["id"] for one in found}) == 1
    assert "there is no nowhere" in copy("ls", "nowhere", code=2).stderr
    assert "no runs in" in copy("ls", copy.folder).stderr
