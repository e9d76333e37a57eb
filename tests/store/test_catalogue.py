"""Many runs: names of any kind, finding one, listing a thousand, liveness, removal."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbug.errors import NotARunError, RunNotFoundError, StoreError
from unbug.store import (
    collect,
    create_run,
    default_directory,
    find_run,
    label,
    list_runs,
    new_id,
    open_reader,
    open_writer,
    process_identity,
    remove_run,
)
from unbug.store.liveness import corrected
from unbug.store.manifest import read_status
from unbug.store.tail import read_from
from unbug.types import Place, RunState, Series, Status

HOUR_NS = 3_600_000_000_000


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=300))
def test_a_label_is_safe_on_any_file_system(name: str) -> None:
    made = label(name)
    assert made
    assert len(made.encode()) <= 110
    assert not set(made) & set('/\\:*?"<>|@\0\n\r\t ')
    assert made[0] not in ".-~" and made[-1] not in ". "
    assert made.isprintable()
    assert label(made) == made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", "digits"),
        ("lr 0.1, wd=3e-4", "lr-0.1,-wd=3e-4"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\0b\nc", "a-b-c"),
        ("..", "run"),
        ("", "run"),
        ("@last", "last"),
        ("--dir", "dir"),
        ("NUL", "NUL-run"),
        ("com1.txt", "com1.txt-run"),
        ("学習 ①", "学習-①"),
        ("\ud800x", "x"),
        ("e\u0301", "é"),
    ],
)
def test_labels(name: str, expected: str) -> None:
    assert label(name) == expected


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.text(st.characters(), max_size=40), place=st.text(st.characters(), max_size=20))
def test_any_name_of_run_series_and_place_is_kept_as_it_is(tmp_path: Path, name: str, place: str) -> None:
    path, run = create_run(tmp_path / "runs", name=name, tags=(place,))
    assert path.parent == tmp_path / "runs"
    writer = open_writer(path)
    series = Series(name=name, place=Place(path=place, kind="module"), origin="user", unit=place)
    writer.row(writer.group([series]), (1.0,), t_ns=0)
    writer.event("console", {"text": name}, t_ns=0)
    writer.close()
    reader = open_reader(path)
    assert reader.run == run
    assert reader.run.name == name
    assert reader.find(name=name, place=place, origin="user") == (series,)
    assert reader.events("console")[0].fields["text"] == name
    reader.close()


def test_a_taken_name_gets_a_number_and_processes_do_not_collide(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create_run(tmp_path, name="x")[0].name, range(24)))
    assert sorted(made) == sorted(["x", *(f"x-{number}" for number in range(2, 25))])


def test_a_run_is_private_and_kept_out_of_git(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path / "unbug-runs", name="x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (path / ".gitignore").read_text() == "*\n"
    assert (tmp_path / "unbug-runs" / ".gitignore").read_text() == "*\n"
    for one in path.rglob("*"):
        assert one.name == ".gitignore" or not stat.S_IMODE(one.stat().st_mode) & 0o077


def test_ids_are_uuid7_and_sort_by_time() -> None:
    made = [new_id(now * 1_000_000) for now in range(1_700_000_000_000, 1_700_000_000_050)]
    assert made == sorted(made)
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in made)
    assert new_id(5, lambda count: bytes(count)) == new_id(5, lambda count: bytes(count))
    assert new_id(0, lambda count: b"\xff" * count) == "00000000-0000-7fff-bfff-ffffffffffff"


def test_default_directory(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert default_directory(below, environ={}) == below / "unbug-runs"
    (tmp_path / "unbug-runs").mkdir()
    assert default_directory(below, environ={}) == tmp_path / "unbug-runs"
    assert default_directory(below, environ={"UNBUG_DIR": "/x"}) == Path("/x")


@pytest.fixture
def three(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for at, name in enumerate(["alpha", "beta", "alpha"]):
        path, _ = create_run(tmp_path, name=name, wall_ns=lambda at=at: (at + 1) * HOUR_NS)
        made[path.name] = path
    return made


def test_find(three: dict[str, Path], tmp_path: Path) -> None:
    ids = {label: open_reader(path).run.id for label, path in three.items()}
    assert find_run("alpha", tmp_path) == three["alpha"]
    assert find_run("alpha-2", tmp_path) == three["alpha-2"] == find_run("@last", tmp_path)
    assert find_run(str(three["beta"]), Path("/nowhere")) == three["beta"]
    assert find_run(ids["beta"], tmp_path) == three["beta"]
    assert find_run(ids["beta"][:8].upper(), tmp_path) == three["beta"]
    with pytest.raises(RunNotFoundError, match=r"no run 'bata' in .*; there is beta"):
        find_run("bata", tmp_path)
    with pytest.raises(RunNotFoundError, match=r"names 3 runs .* give more of the id"):
        find_run("0000", tmp_path)
    with pytest.raises(RunNotFoundError, match=r"which holds no runs; record one with `unbug run SCRIPT`"):
        find_run("@last", tmp_path / "none")
    with pytest.raises(NotARunError):
        find_run(str(tmp_path), tmp_path)
    for odd in ("", "\0", "x" * 5000, "/nowhere/at/all", "..", "*", "学習"):
        with pytest.raises((RunNotFoundError, NotARunError)):
            find_run(odd, tmp_path)


def test_a_name_that_no_folder_can_have_is_found(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="a/b: c")
    assert find_run("a/b: c", tmp_path) == path


def test_list_skips_what_is_no_run(three: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert [one.path.name for one in list_runs(tmp_path)] == ["alpha", "beta", "alpha-2"]
    assert list_runs(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("status.json", "last_loss", "low"),
        ("status.json", "ended_ns", "soon"),
        ("status.json", "steps", 10**40),
        ("status.json", "findings", {"error": 10**40}),
        ("status.json", "message", {"a": 1}),
        ("status.json", "exit_code", []),
        ("run.json", "created_ns", 10**30),
        ("run.json", "anchor_ns", -1),
    ],
)
def test_one_run_with_values_of_other_kinds_does_not_hide_the_others(
    three: dict[str, Path], tmp_path: Path, file: str, name: str, value: object
) -> None:
    bad = next(iter(three.values())) / file
    bad.write_text(json.dumps({**json.loads(bad.read_text()), name: value}))
    found = list_runs(tmp_path)
    assert len(found) == (3 if file == "status.json" else 2)
    for one in found:
        assert isinstance(one.status.last_loss, float | None)
        assert isinstance(one.status.ended_ns, int | None)
        assert isinstance(one.status.message, str)
        assert one.status.steps < 1 << 63


def test_a_pipe_in_place_of_a_file_is_not_waited_for(three: dict[str, Path], tmp_path: Path) -> None:
    path = next(iter(three.values()))
    (path / "status.json").unlink()
    os.mkfifo(path / "status.json")
    assert read_status(path).state is RunState.LOST
    os.mkfifo(path / "pipe")
    assert read_from(path / "pipe", 0) == b""


def test_a_thousand_runs_are_listed_well_within_a_second(tmp_path: Path) -> None:
    for at in range(1000):
        folder = tmp_path / f"run-{at}"
        folder.mkdir()
        facts = {"packages": [f"package-{number}==1.0" for number in range(60)]}
        manifest = {
            "id": str(at),
            "name": "x",
            "created_ns": at,
            "anchor_ns": 0,
            "format_version": 1,
            "facts": facts,
        }
        (folder / "run.json").write_text(json.dumps(manifest))
        (folder / "status.json").write_text('{"state": "finished", "updated_ns": 5}')
    start = time.process_time()
    found = list_runs(tmp_path)
    assert time.process_time() - start < 0.5
    assert [one.run.created_ns for one in found] == list(range(1000))


def test_liveness() -> None:
    me = process_identity()
    now = 10 * HOUR_NS
    running = Status(state=RunState.RUNNING, updated_ns=now, **me)
    assert corrected(running, now_ns=now + HOUR_NS).state is RunState.RUNNING
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    cases = [
        ({"pid": gone.pid}, "ended without a word"),
        ({"started_ticks": me["started_ticks"] + 1}, "ended without a word"),
        ({"boot_id": "another"}, "started anew"),
    ]
    for change, text in cases:
        status = corrected(Status(state=RunState.RUNNING, updated_ns=now, **(me | change)), now_ns=now)
        assert status.state is RunState.KILLED
        assert text in status.message
    elsewhere = Status(state=RunState.RUNNING, updated_ns=now, **(me | {"host": "elsewhere"}))
    assert corrected(elsewhere, now_ns=now + 59_000_000_000).state is RunState.RUNNING
    lost = corrected(elsewhere, now_ns=now + 61_000_000_000)
    assert lost.state is RunState.LOST
    assert lost.message == "no sign of life from elsewhere for 61 s"
    finished = Status(state=RunState.FINISHED, updated_ns=0, **(me | {"host": "elsewhere"}))
    assert corrected(finished, now_ns=now) == finished


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        while not re.search(r"\) Z", Path(f"/proc/{child}/stat").read_text()):
            time.sleep(0.001)
        status = Status(state=RunState.RUNNING, updated_ns=0, **(process_identity() | {"pid": child}))
        assert corrected(status, now_ns=0).state is RunState.KILLED
    finally:
        os.waitpid(child, 0)


def test_remove(three: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is being written by process"):
        remove_run(three["beta"])
    remove_run(three["beta"], even_running=True)
    assert not three["beta"].exists()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x")
    with pytest.raises(NotARunError):
        remove_run(tmp_path / "precious")
    (tmp_path / "link").symlink_to(three["alpha"])
    with pytest.raises(NotARunError, match="it is a link"):
        remove_run(tmp_path / "link")
    assert (tmp_path / "precious" / "thesis.tex").exists() and three["alpha"].exists()


def test_the_current_folder_is_removed_as_a_whole(
    three: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(three["beta"])
    remove_run(Path(), even_running=True)
    assert not three["beta"].exists()


def test_tidying_up_follows_no_link_out_of_a_run(three: dict[str, Path], tmp_path: Path) -> None:
    path, outside = three["beta"], tmp_path / "outside" / "w"
    outside.mkdir(parents=True)
    for folder in (path, outside):
        (folder / ".left.tmp").write_text("x")
        os.utime(folder / ".left.tmp", (0, 0))
    (outside / "live-000000.log").write_text("not a log")
    (path / "writers").rmdir()
    (path / "writers").symlink_to(outside.parent)
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps({**status, "state": "finished"}))
    done = [one for one in collect(tmp_path) if one.path == path]
    assert [one.temporary_files for one in done] == [1]
    assert sorted(one.name for one in outside.iterdir()) == [".left.tmp", "live-000000.log"]


def test_the_front_of_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, unbug.store as s; s.list_runs; s.find_run; s.create_run; s.open_writer;"
        "heavy = {'numpy', 'pyarrow', 'duckdb', 'torch', 'rich'} & set(sys.modules); assert not heavy, heavy;"
        "s.open_reader; heavy -= {'numpy'};"
        "assert not {'pyarrow', 'duckdb', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
