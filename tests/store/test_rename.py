"""Other names and tags for a run, also while it is written and by several at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unbug.errors import NotARunError, RunNotFoundError, StoreError, UsageError
from unbug.store import (
    create_run,
    find_run,
    list_runs,
    open_reader,
    open_writer,
    pack_run,
    rename_run,
    tag_run,
)
from unbug.store import rename as store_rename
from unbug.types import Place, RunState, Series, Status


def _ended(path: Path) -> Path:
    writer = open_writer(path)
    writer.status(Status(state=RunState.FINISHED, updated_ns=1, ended_ns=1))
    writer.close()
    return path


def test_the_folder_follows_the_name(tmp_path: Path) -> None:
    path, run = create_run(tmp_path, name="old", tags=("a",))
    create_run(tmp_path, name="other")
    _ended(path)
    moved = rename_run(path, "new/name: 2")
    assert moved == tmp_path / "new-name-2" and moved.is_dir() and not path.exists()
    reader = open_reader(moved)
    assert (reader.run.id, reader.run.name, reader.run.tags) == (run.id, "new/name: 2", ("a",))
    for wanted in ("new/name: 2", "new-name-2", run.id, run.id[:13]):
        assert find_run(wanted, tmp_path) == moved
    with pytest.raises(RunNotFoundError):
        find_run("old", tmp_path)
    with pytest.raises(UsageError, match=r"there is a run in .*other already"):
        rename_run(moved, "other")
    assert open_reader(moved).run.name == "new/name: 2"
    assert rename_run(moved, "new/name: 2") == moved


def test_a_run_that_is_written_keeps_its_folder(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="live")
    writer = open_writer(path, roll_flushes=1)
    group = writer.group([Series(name="a", place=Place(path="", kind="loop"), origin="user")])
    for step in range(5):
        writer.row(group, (1.0,), t_ns=step, step=step)
        writer.flush()
        writer.maintain()
        assert rename_run(path, f"name {step}") == path
        tag_run(path, add=[f"t{step}"])
    writer.close()
    reader = open_reader(path)
    assert len(reader.read(reader.series()[0]).step) == 5
    assert reader.run.name == "name 4" and len(reader.run.tags) == 5
    assert find_run("name 4", tmp_path) == path
    assert find_run("live", tmp_path) == path  # its folder


def test_tags_come_and_go(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x", tags=("a", "b"))
    manifest = path / "run.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"unheard": [1]}))
    assert tag_run(path, add=["c", "a"], remove=["b", "never"]).tags == ("a", "c")
    assert json.loads(manifest.read_text())["unheard"] == [1]
    with pytest.raises(UsageError, match="a tag cannot be ' '"):
        tag_run(path, add=[" "])
    with pytest.raises(UsageError, match="cannot be called ''"):
        rename_run(path, "")
    with pytest.raises(NotARunError):
        tag_run(tmp_path, add=["x"])
    pack_run(path, tmp_path / "x.unbug")
    with pytest.raises(UsageError, match="packed run, which is not changed"):
        tag_run(tmp_path / "x.unbug", add=["x"])
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(NotARunError, match="it is a link"):
        rename_run(tmp_path / "link", "y")


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    code = (
        "import sys; from pathlib import Path; from unbug.store import tag_run\n"
        "for at in range(15): tag_run(Path(sys.argv[1]), add=[f'{sys.argv[2]}-{at}'])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(who)], env=environment)
        for who in range(3)
    ]
    assert [one.wait() for one in started] == [0, 0, 0]
    (listed,) = list_runs(tmp_path)
    assert sorted(listed.run.tags) == sorted(f"{who}-{at}" for who in range(3) for at in range(15))
    assert not [one for one in path.iterdir() if one.name.endswith((".lock", ".tmp"))]


def test_a_lock_that_a_crash_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = create_run(tmp_path, name="x")
    lock = path / ".manifest.lock"
    lock.write_text("1")
    monkeypatch.setattr(store_rename, "_WAIT_S", 0.1)
    with pytest.raises(StoreError, match="another process is changing"):
        tag_run(path, add=["a"])
    os.utime(lock, (1, 1))
    assert tag_run(path, add=["a"]).tags == ("a",)
    assert not lock.exists()
