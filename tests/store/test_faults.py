"""Disks that fill up, turn read-only or go away; kills; forks; clocks set back: the program never notices."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unbug.errors import StoreError
from unbug.store import RunWriter, collect, create_run, open_reader, open_writer
from unbug.store.writer import MAX_WAITING
from unbug.types import Series, Status

REPO = Path(__file__).parents[2]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: the nearest to a full disk that needs no mount."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _values(path: Path, name: str) -> list[float]:
    reader = open_reader(path)
    (series,) = reader.find(name=name)
    values: list[float] = reader.read(series).values.tolist()
    assert reader.faults == ()
    reader.close()
    return values


@pytest.mark.slow
def test_kill_minus_nine_at_random_moments() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPO / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(REPO / "bench/crash.py"), "--kills", "20", "--seed", "7"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("BAR ")]
    assert json.loads(line[4:])["measured"] == "20 of 20", done.stderr


def test_a_full_disk_loses_nothing_once_there_is_room(
    writer: RunWriter,
    run_path: Path,
    clock: Callable[[], int],
    user_series: Callable[..., tuple[Series, ...]],
) -> None:
    group = writer.group(user_series("x"))
    for step in range(50):
        writer.row(group, (float(step),), t_ns=step, step=step)
    writer.flush()
    full = (writer.folder / "live-000000.log").stat().st_size + 33
    with largest_file(full):
        for step in range(50, 200):
            writer.row(group, (float(step),), t_ns=step, step=step)
            writer.flush()
        assert _values(run_path, "x") == [float(step) for step in range(50)]
        assert any("writing failed" in line for line in writer.lost)
        assert "some rows are waiting for the disk" in writer.lost
    assert writer.flush() == 0, "it backs off"
    clock.now += 60_000_000_000  # type: ignore[attr-defined]
    assert writer.flush() > 0
    assert _values(run_path, "x") == [float(step) for step in range(200)]
    assert not any("waiting" in line for line in writer.lost)


def test_a_full_disk_sheds_detail_first_and_says_so(
    writer: RunWriter,
    run_path: Path,
    clock: Callable[[], int],
    user_series: Callable[..., tuple[Series, ...]],
) -> None:
    scalar, detail = writer.group(user_series("x")), writer.group(user_series("y"), kind="detail")
    with largest_file(60):
        for step in range(MAX_WAITING):
            writer.row(scalar, (float(step),), t_ns=step, step=step)
            writer.row(detail, (float(step),), t_ns=step, step=step)
            if step % 10_000 == 0:
                writer.flush()
        writer.flush()
    clock.now += 60_000_000_000  # type: ignore[attr-defined]
    writer.flush()
    assert _values(run_path, "x") == [float(step) for step in range(MAX_WAITING)]
    kept = _values(run_path, "y")
    (said,) = [line for line in writer.lost if "rows of detail were given up" in line]
    assert int(said.split()[0]) == MAX_WAITING - len(kept) > MAX_WAITING // 2


def test_close_on_a_full_disk_says_what_was_lost(
    writer: RunWriter, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    group = writer.group(user_series("x"))
    with largest_file(60):
        for step in range(30):
            writer.row(group, (1.0,), t_ns=step)
            writer.flush()
        writer.close()
    assert any("still waiting for the disk at the end" in line for line in writer.lost)


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder, as somebody whom permissions bind."""
    folder = Path(tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
            try:
                yield folder
            finally:
                os.seteuid(0)
        else:
            yield folder
    finally:
        for one in (folder, *folder.rglob("*")):
            if one.is_dir():
                one.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_turned_read_only(user_series: Callable[..., tuple[Series, ...]]) -> None:
    with nobody() as folder:
        path, _ = create_run(folder / "runs", name="x")
        writer = open_writer(path, roll_flushes=2)
        group = writer.group(user_series("x"))
        for step in range(5):
            writer.row(group, (float(step),), t_ns=step, step=step)
            writer.flush()
        for one in (path, path / "writers", writer.folder):
            one.chmod(0o500)
        for step in range(5, 20):
            writer.row(group, (float(step),), t_ns=step, step=step)
            writer.flush()
            writer.maintain()
        before = (path / "status.json").read_bytes()
        writer.status(Status(state="finished", updated_ns=5))  # type: ignore[arg-type]
        assert (path / "status.json").read_bytes() == before
        values = _values(path, "x")
        assert values == [float(step) for step in range(len(values))]
        assert len(values) >= 5
        assert any("Permission denied" in line for line in writer.lost)
        writer.close()
        with pytest.raises(StoreError, match=r"cannot make a run in .*Permission denied.*--dir"):
            create_run(path / "below", name="y")


def test_a_deleted_folder_is_not_made_again(
    writer: RunWriter, run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    group = writer.group(user_series("x"))
    writer.row(group, (1.0,), t_ns=0)
    writer.flush()
    shutil.rmtree(run_path)
    for _ in range(3):
        writer.row(group, (1.0,), t_ns=0)
        writer.event("console", {"text": "x"}, t_ns=0)
        assert writer.flush() == 0
        writer.maintain()
    writer.close()
    assert not run_path.exists()
    assert any("the run's folder was deleted" in line for line in writer.lost)


def test_a_clock_set_back_changes_no_order_but_that_of_time(
    writer: RunWriter,
    run_path: Path,
    clock: Callable[[], int],
    user_series: Callable[..., tuple[Series, ...]],
) -> None:
    group = writer.group(user_series("x"))
    for step, t_ns in enumerate([50, 60, 10, 20, -5]):
        clock.now = t_ns  # type: ignore[attr-defined]
        writer.row(group, (float(step),), t_ns=t_ns, training=0, step=step)
        assert writer.flush() > 0
    assert _values(run_path, "x") == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_forked_child_writes_nothing(
    writer: RunWriter, run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    group = writer.group(user_series("x"))
    writer.row(group, (1.0,), t_ns=0)
    writer.flush()
    writer.row(group, (2.0,), t_ns=0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            writer.row(group, (3.0,), t_ns=0)
            code = 0 if writer.flush() == 0 else 2
            writer.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.flush()
    assert _values(run_path, "x") == [1.0, 2.0]


def test_what_is_no_row_is_left_out_and_counted(
    writer: RunWriter, run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    group = writer.group(user_series("x", "y"))
    blob = writer.group(user_series("z"), kind="blob")
    bad: list[tuple[int, object, dict[str, object]]] = [
        (group, (1.0,), {}),
        (group, (1.0, 2.0, 3.0), {}),
        (group, ("a", 1.0), {}),
        (group, None, {}),
        (99, (1.0, 2.0), {}),
        (-1, (1.0, 2.0), {}),
        (blob, 5, {}),
        (blob, None, {}),
        (group, (1.0, 10**400), {}),
        (group, (1.0, 2.0), {"step": 1.5}),
        (group, (1.0, 2.0), {"step": 1 << 70}),
        (group, (1.0, 2.0), {"user_step": "seven"}),
        (group, (1.0, 2.0), {"training": None}),
    ]
    for at, values, keys in bad:
        writer.row(at, values, t_ns=0, **keys)  # type: ignore[arg-type]
        writer.row(group, (4, True), t_ns=0)  # Integers are numbers.
    writer.event("odd", {"self": writer, 5: {1, 2}, "deep": [[float("inf")]]}, t_ns=0)
    writer.flush()
    assert _values(run_path, "x") == [4.0] * len(bad)
    (said,) = writer.lost
    assert said.startswith(f"{len(bad)} rows or events were left out")
    (event,) = open_reader(run_path).events("odd")
    assert event.fields["deep"] == [["inf"]]
    assert event.fields["5"] == [1, 2]


def test_a_group_must_be_one(writer: RunWriter, user_series: Callable[..., tuple[Series, ...]]) -> None:
    for series, kind in [
        ((), "scalar"),
        (user_series("a", "b"), "blob"),
        (user_series("a") * 70_000, "scalar"),
    ]:
        with pytest.raises(ValueError, match="a group"):
            writer.group(series, kind=kind)  # type: ignore[arg-type]
    assert writer.group(user_series("a")) == writer.group(list(user_series("a")))
    assert writer.group(user_series("a")) != writer.group(user_series("a"), kind="detail")


def test_rows_come_from_many_threads(
    writer: RunWriter, run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    stop = threading.Event()

    def tend() -> None:
        while not stop.is_set():
            writer.flush()

    def produce(number: int) -> None:
        group = writer.group(user_series(f"x{number}"))
        for step in range(5000):
            writer.row(group, (float(step),), t_ns=step, step=step)

    background = threading.Thread(target=tend)
    background.start()
    producers = [threading.Thread(target=produce, args=(number,)) for number in range(4)]
    for thread in producers:
        thread.start()
    for thread in producers:
        thread.join()
    stop.set()
    background.join()
    writer.close()
    for number in range(4):
        assert _values(run_path, f"x{number}") == [float(step) for step in range(5000)]


def test_detail_is_thinned_to_its_share_and_scalars_never(
    run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    import random

    chance = random.Random(0)
    writer = open_writer(run_path, roll_flushes=10, disk_bytes=500_000)
    scalar = writer.group(user_series("x"))
    details = [writer.group(user_series(f"y{at}", f"z{at}"), kind="detail") for at in range(20)]
    blob = writer.group(user_series("b"), kind="blob")
    for step in range(1000):
        writer.row(scalar, (float(step),), t_ns=step, training=0, step=step)
        for group in details:
            writer.row(group, (chance.random(), float(step)), t_ns=step, training=0, step=step)
        writer.row(blob, chance.randbytes(30), t_ns=step, training=0, step=step)
        if step % 10 == 9:
            writer.flush()
            writer.maintain(budget_s=5.0)
    writer.flush()
    writer.maintain(budget_s=5.0)
    writer.close()
    sizes = {kind: sum(one.stat().st_size for one in writer.folder.glob(f"{kind}-*")) for kind in "sdb"}
    assert sizes["d"] + sizes["b"] <= 100_000 < sizes["d"] + sizes["b"] + sizes["s"] + 100_000
    assert any("rows of old detail were thinned out" in line for line in writer.lost)
    assert _values(run_path, "x") == [float(step) for step in range(1000)]
    reader = open_reader(run_path)
    (series,) = reader.find(name="z7")
    points = reader.read(series)
    assert points.values.tolist() == points.step.tolist()
    steps = points.step
    assert steps[0] == 0 and steps[-1] == 999
    assert 50 < len(steps) < 900
    assert (steps < 500).sum() < (steps >= 500).sum(), "what is old is thinner"
    reader.close()


def test_thinning_ends_where_there_are_only_ends_left(
    run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    writer = open_writer(run_path, roll_flushes=1, disk_bytes=10)
    groups = [writer.group(user_series(f"y{at}"), kind="detail") for at in range(50)]
    for step in range(20):
        for group in groups:
            writer.row(group, (step / 3,), t_ns=step, training=0, step=step)
        writer.flush()
        writer.maintain(budget_s=60.0)
    writer.close()
    assert len(list(writer.folder.glob("d-*"))) == 1
    assert [round(3 * value) for value in _values(run_path, "y49")][:: len(_values(run_path, "y49")) - 1] == [
        0,
        19,
    ]


def test_gc_finishes_what_a_dead_writer_left(
    run_path: Path, tmp_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    writer = open_writer(run_path, roll_flushes=4)
    group = writer.group(user_series("x"))
    for step in range(30):
        writer.row(group, (float(step),), t_ns=step, step=step)
        writer.flush()
    writer.close()
    (run_path / ".status.json.1.abc.tmp").write_text("half")
    (skipped,) = collect(tmp_path / "unbug-runs")
    assert skipped.skipped == "it is being written"
    status = json.loads((run_path / "status.json").read_text())
    (run_path / "status.json").write_text(json.dumps(status | {"state": "finished"}))
    (done,) = collect(tmp_path / "unbug-runs")
    assert (done.temporary_files, done.said) == (1, ())
    assert 0 < done.bytes_after <= done.bytes_before
    assert not list(writer.folder.glob("live-*"))
    assert _values(run_path, "x") == [float(step) for step in range(30)]


@pytest.mark.parametrize("kind", ["s", "e"])
def test_a_damaged_segment_is_neither_merged_nor_deleted(
    run_path: Path, user_series: Callable[..., tuple[Series, ...]], kind: str
) -> None:
    writer = open_writer(run_path, roll_flushes=1)
    group = writer.group(user_series("x"))
    for step in range(20):
        writer.row(group, (float(step),), t_ns=step, step=step)
        writer.event("console", {"text": str(step)}, t_ns=step)
        writer.flush()
        if step == 5:
            writer.maintain(budget_s=60.0)
            (damaged,) = writer.folder.glob(f"{kind}-000003-*")
            content = bytearray(damaged.read_bytes())
            content[len(content) // 2] ^= 255
            damaged.write_bytes(content)
    writer.maintain(budget_s=60.0)
    writer.close()
    assert damaged.read_bytes() == content
    assert "1 damaged segments were left unmerged" in writer.lost
    reader = open_reader(run_path)
    steps = reader.read(reader.find(name="x")[0]).step.tolist()
    texts = [int(event.fields["text"]) for event in reader.events("console")]
    without = [step for step in range(20) if step != 3]
    assert (steps, texts) == ((without, list(range(20))) if kind == "s" else (list(range(20)), without))
    assert any(damaged.name in fault for fault in reader.faults)
    reader.close()


def test_two_mergers_at_once_do_no_harm(
    run_path: Path, user_series: Callable[..., tuple[Series, ...]]
) -> None:
    from unbug.store.merge import Merger

    writer = open_writer(run_path, roll_flushes=1)
    group = writer.group(user_series("x"))
    for step in range(70):
        writer.row(group, (float(step),), t_ns=step, step=step)
        writer.event("console", {"text": str(step)}, t_ns=step)
        writer.flush()
    writer.close()
    reader = open_reader(run_path)
    mergers = [Merger(writer.folder, detail_bytes=1 << 30) for _ in range(3)]
    working, turns = True, 0
    while working:
        left = [merger.work(budget_s=0.0, below=1 << 60) for merger in mergers]
        working = any(left)
        turns += 1
        if turns % 20 == 0:
            reader.refresh()
            assert len(reader.read(reader.find(name="x")[0]).step) == 70
            assert len(reader.events("console")) == 70
        assert turns < 10_000
    assert _values(run_path, "x") == [float(step) for step in range(70)]
    assert not [one for one in writer.folder.iterdir() if one.name.endswith(".tmp")]
