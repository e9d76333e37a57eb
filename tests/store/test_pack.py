"""A run in one file: opens as the folder does, writes nothing, and refuses what no `pack` made."""

from __future__ import annotations

import json
import os
import stat
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbug.errors import NewerFormatError, NotARunError, StoreError, UsageError
from unbug.store import (
    collect,
    create_run,
    find_run,
    list_runs,
    open_reader,
    open_writer,
    pack_run,
    remove_run,
    tables,
)
from unbug.types import Place, RunState, Series, Status, Training

SECRET = "what the program was given and printed"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A run with logs, segments, blobs, events, media and two attempts."""
    path, _ = create_run(tmp_path / "runs", name="packed one", tags=("a",), wall_ns=lambda: 10**18)
    for attempt in (0, 1):
        writer = open_writer(path, attempt=attempt, roll_flushes=5)
        loss = writer.group([Series(name="loss.value", place=Place(path="loss", kind="loss", training=0))])
        blob = writer.group(
            [Series(name="weight.exponents", place=Place(path="w", kind="parameter"))], kind="blob"
        )
        for step in range(50 * attempt, 50 * attempt + 60):
            writer.row(loss, (step / 7,), t_ns=step, training=0, step=step, phase=0)
            writer.row(blob, b"blob %d" % step, t_ns=step, training=0, step=step)
            writer.event("console", {"stream": "stdout", "text": SECRET}, t_ns=step)
            writer.event("batch", {"text": SECRET}, t_ns=step)
            writer.event("mode", {"module": "net"}, t_ns=step)
            writer.flush()
        writer.event("source", {"path": "a.py", "source": SECRET}, t_ns=99)
        writer.event("environment", {"git": {"commit": "abc", "diff": SECRET}}, t_ns=99)
        crash = {"error": f"ValueError: {SECRET}", "traceback": SECRET}
        writer.event("crash", crash, t_ns=99)
        writer.event(
            "finding", {"rule": "X1", "source": {"file": "a.py", "line": 3, "text": SECRET}}, t_ns=99
        )
        writer.training(Training(number=0, steps=60))
        writer.flush()
        for _ in range(30):
            writer.maintain(budget_s=0.2)
        writer.status(Status(state=RunState.FINISHED, updated_ns=10**18 + 1, ended_ns=10**18 + 1))
        writer.close()
    (path / "media").mkdir()
    (path / "media" / "x.txt").write_text(SECRET)
    (path / "media" / "link.txt").symlink_to("/etc/passwd")
    assert list(path.glob("writers/*/e-*.seg")) and list(path.glob("writers/*/live-*.log"))
    return path


def _everything(path: Path) -> dict[str, object]:
    reader = open_reader(path)
    try:
        made = tables(reader)
        found: dict[str, object] = {name: repr(made[name].to_pydict()) for name in made}
        found |= {"attempts": reader.attempts(), "faults": reader.faults, "status": reader.status}
        (series,) = reader.find(name="loss.value")
        curve = reader.curve(series, points=20)
        found["curve"] = (curve.mean.tolist(), curve.count.tolist())
        return found
    finally:
        reader.close()


def test_a_packed_run_reads_as_its_folder(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.unbug"
    assert pack_run(made, target) == target.stat().st_size
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    before = sorted(tmp_path.rglob("*"))
    handles = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert _everything(target) == _everything(made)
    assert sorted(tmp_path.rglob("*")) == before
    assert not handles or handles == len(os.listdir("/proc/self/fd"))
    assert find_run(str(target), tmp_path) == target
    (listed,) = list_runs(target)
    assert listed.run.name == "packed one" and listed.status.state is RunState.FINISHED
    with zipfile.ZipFile(target) as inside:
        assert inside.testzip() is None
        assert not [one for one in inside.namelist() if "link" in one or "git" in one]
    if os.name == "posix":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_same_run_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    for name in ("a.unbug", "b.unbug"):
        pack_run(made, tmp_path / name)
    assert (tmp_path / "a.unbug").read_bytes() == (tmp_path / "b.unbug").read_bytes()
    pack_run(tmp_path / "a.unbug", tmp_path / "again.unbug")
    assert (tmp_path / "a.unbug").read_bytes() == (tmp_path / "again.unbug").read_bytes()


def _all_bytes(path: Path) -> bytes:
    """The file, and every zlib stream in it."""
    data = path.read_bytes()
    parts = [data]
    for at in range(len(data) - 1):
        if data[at] == 0x78 and (data[at] * 256 + data[at + 1]) % 31 == 0:
            try:
                parts.append(zlib.decompressobj().decompress(data[at:]))
            except zlib.error:
                continue
    return b"".join(parts)


def test_without_data(made: Path, tmp_path: Path) -> None:
    whole, bare = tmp_path / "whole.unbug", tmp_path / "bare.unbug"
    pack_run(made, whole)
    pack_run(made, bare, data=False)
    assert SECRET.encode() in _all_bytes(whole)
    assert SECRET.encode() not in _all_bytes(bare)
    reader = open_reader(bare)
    assert reader.faults == ()
    assert {event.kind for event in reader.events()} == {
        "mode",
        "environment",
        "crash",
        "finding",
        "training",
    }
    (crash, _) = reader.events("crash")
    assert crash.fields == {"error": "ValueError"}
    (environment, _) = reader.events("environment")
    assert environment.fields == {"git": {"commit": "abc"}}
    (finding, _) = reader.events("finding")
    assert finding.fields["source"] == {"file": "a.py", "line": 3}
    assert len(reader.events("mode")) == 120
    assert tables(reader)["scalars"].equals(tables(open_reader(made))["scalars"])
    pack_run(whole, tmp_path / "twice.unbug", data=False)
    assert (tmp_path / "twice.unbug").read_bytes() == bare.read_bytes()


def test_a_live_run_can_be_packed(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path / "runs", name="x")
    writer = open_writer(path)
    group = writer.group([Series(name="a", place=Place(path="", kind="loop"), origin="user")])
    writer.row(group, (1.0,), t_ns=1, step=0)
    writer.flush()
    pack_run(path, tmp_path / "x.unbug")
    reader = open_reader(tmp_path / "x.unbug")
    assert reader.read(reader.series()[0]).values.tolist() == [1.0]
    assert reader.status.state is RunState.LOST and "packed while" in reader.status.message
    writer.close()


def _zip(
    path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]], how: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(path, "w", how) as out:
        for name, data in members:
            out.writestr(name, data)
    return path


MANIFEST = json.dumps({"id": "x", "name": "x", "created_ns": 1, "anchor_ns": 1, "format_version": 1}).encode()


def _link() -> zipfile.ZipInfo:
    about = zipfile.ZipInfo("writers/link")
    about.create_system, about.external_attr = 3, 0o120777 << 16
    return about


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("run.json", MANIFEST), ("../evil", b"x")], "leads elsewhere"),
        ([("run.json", MANIFEST), ("/etc/evil", b"x")], "leads elsewhere"),
        ([("run.json", MANIFEST), ("writers//x", b"x")], "leads elsewhere"),
        ([("run.json", MANIFEST), ("c:\\evil", b"x")], "none of a run's files"),
        ([("run.json", MANIFEST), ("a\x1b[31m", b"x")], "none of a run's files"),
        ([("run.json", MANIFEST), (_link(), b"/etc/passwd")], "no plain file"),
        ([("run.json", MANIFEST), ("run.json/x", b"x")], "is a file and a folder"),
        ([("status.json", b"{}")], "it has no run.json"),
    ],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]], says: str
) -> None:
    path = _zip(tmp_path / "x.unbug", members)
    with pytest.raises(NotARunError, match=says) as caught:
        open_reader(path)
    assert "\x1b" not in str(caught.value)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.unbug"]


def test_a_bomb_is_refused_unread(tmp_path: Path) -> None:
    path = _zip(
        tmp_path / "x.unbug", [("run.json", MANIFEST), ("bomb", bytes(1 << 27))], zipfile.ZIP_DEFLATED
    )
    with pytest.raises(NotARunError, match="is compressed"):
        open_reader(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_are_there_twice_or_overlap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match="twice"):
        open_reader(_zip(tmp_path / "x.unbug", [("run.json", MANIFEST), ("run.json", MANIFEST)]))
    path = _zip(tmp_path / "y.unbug", [("run.json", MANIFEST), ("aa", b"x" * 100), ("bb", b"x" * 100)])
    data = bytearray(path.read_bytes())
    first, second = data.index(b"PK\x03\x04", 10), data.rindex(b"PK\x03\x04")
    entry = data.rindex(b"PK\x01\x02")
    assert int.from_bytes(data[entry + 42 : entry + 46], "little") == second
    data[entry + 42 : entry + 46] = first.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(NotARunError, match="not where the list says"):
        open_reader(path)


def test_a_newer_format_is_told(tmp_path: Path) -> None:
    newer = MANIFEST.replace(b'"format_version": 1', b'"format_version": 99')
    with pytest.raises(NewerFormatError, match="store format 99"):
        open_reader(_zip(tmp_path / "x.unbug", [("run.json", newer)]))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_said_and_never_worse(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path, _ = create_run(folder, name="x")
    writer = open_writer(path)
    group = writer.group([Series(name="a", place=Place(path="", kind="loop"), origin="user")])
    for step in range(20):
        writer.row(group, (float(step),), t_ns=step, step=step)
        writer.flush()
    writer.close()
    target = folder / "x.unbug"
    pack_run(path, target)
    content = bytearray(target.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    target.write_bytes(content)
    try:
        reader = open_reader(target)
    except (NotARunError, NewerFormatError):
        return
    for series in reader.series():
        points = reader.read(series)
        assert np.isin(points.values, np.arange(20.0)).all()
    reader.events()
    reader.close()


def test_where_it_cannot_be_written(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.unbug"
    target.write_text("mine")
    with pytest.raises(UsageError, match=r"is there already.*--force"):
        pack_run(made, target)
    assert target.read_text() == "mine"
    assert pack_run(made, target, replace=True) > 1000
    with pytest.raises(UsageError, match="own folder"):
        pack_run(made, made / "x.unbug")
    with pytest.raises(UsageError, match="it is a folder"):
        pack_run(made, tmp_path)
    with pytest.raises(StoreError, match=r"cannot write .*No such file"):
        pack_run(made, tmp_path / "none" / "x.unbug")
    with pytest.raises(NotARunError):
        pack_run(tmp_path, tmp_path / "y.unbug")
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_packed_run_is_removed_and_not_tidied(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.unbug"
    pack_run(made, target)
    (tidied,) = collect(target)
    assert tidied.skipped == "it is packed"
    remove_run(target)
    assert not target.exists() and made.exists()
