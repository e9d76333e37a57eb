"""Several attempts at one run: who counts where a step was done twice, and how each attempt ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbug.errors import NotARunError, UsageError
from unbug.store import (
    RunReader,
    create_run,
    list_runs,
    next_attempt,
    open_reader,
    open_writer,
    process_identity,
    query,
    tables,
)
from unbug.store.access import root_of
from unbug.types import Place, RunState, Series, Status, Training

LOSS = Series(name="loss.value", place=Place(path="loss", kind="loss", training=0))


def _write(
    path: Path,
    steps: range,
    *,
    attempt: int,
    rank: int = 0,
    training: int = 0,
    roll: int = 2048,
    ended: bool = True,
) -> None:
    """One attempt: the loss at step s of attempt a is a + s / 1000."""
    writer = open_writer(path, attempt=attempt, rank=rank, first=rank == 0, roll_flushes=roll)
    group = writer.group([LOSS])
    writer.row(group, (-1.0,), t_ns=1, training=training, step=-1, phase=1)  # evaluated before the first step
    for step in steps:
        writer.row(
            group,
            (attempt + step / 1000,),
            t_ns=10**9 * attempt + step,
            training=training,
            step=step,
            phase=0,
        )
        if step % 50 == 49:
            writer.flush()
    writer.training(Training(number=training, steps=steps.stop))
    writer.flush()
    for _ in range(200):
        writer.maintain(budget_s=0.1)
    if ended and rank == 0:
        writer.status(Status(state=RunState.FAILED, updated_ns=1, exit_code=1, ended_ns=2))
    writer.close()


def _shown(reader: RunReader, **how: bool) -> list[tuple[int, int]]:
    points = reader.read(LOSS, **how)
    keep = points.step >= 0
    return list(zip(points.attempt[keep].tolist(), points.step[keep].tolist(), strict=True))


@pytest.mark.parametrize("roll", [2048, 3], ids=["in the log", "in segments"])
def test_the_last_attempt_shows_where_a_step_was_done_twice(tmp_path: Path, roll: int) -> None:
    path, _ = create_run(tmp_path, name="x")
    _write(path, range(1000), attempt=0, roll=roll)
    assert next_attempt(path) == 1
    _write(path, range(600, 900), attempt=1, roll=roll)
    _write(path, range(800, 1500), attempt=2, roll=roll)
    reader = open_reader(path)
    expected = [(0, s) for s in range(600)] + [(1, s) for s in range(600, 800)]
    expected += [(2, s) for s in range(800, 1500)]
    assert _shown(reader) == expected
    every = [(0, s) for s in range(1000)] + [(1, s) for s in range(600, 900)]
    every += [(2, s) for s in range(800, 1500)]
    assert _shown(reader, all_attempts=True) == every
    assert reader.trainings()[0].steps == 1500
    for points in (5, 100, 5000):
        curve = reader.curve(LOSS, points=points, training=0)
        shown = curve.step_first >= 0
        assert int(curve.count[shown].sum()) + int(curve.count[~shown].sum()) == 1500 + 3
        assert (np.diff(curve.step_first) > 0).all() or not shown.all()
        assert curve.high.max() == pytest.approx(2 + 1.499)
    every_curve = reader.curve(LOSS, points=100, all_attempts=True)
    assert int(every_curve.count.sum()) == 2000 + 3
    table = tables(reader)["scalars"]
    assert table.num_rows == 1503 and tables(reader, all_attempts=True)["scalars"].num_rows == 2003
    twice = "select attempt, count(*) from scalars where step = 850 group by attempt order by 1"
    assert query(reader, twice).to_pylist() == [{"attempt": 2, "count_star()": 1}]
    both = query(reader, twice, all_attempts=True)
    assert both.column("attempt").to_pylist() == [0, 1, 2]


def test_a_step_that_only_the_abandoned_history_has_is_hidden_too(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    _write(path, range(1000), attempt=0)
    _write(path, range(500, 600), attempt=1)
    reader = open_reader(path)
    assert _shown(reader) == [(0, s) for s in range(500)] + [(1, s) for s in range(500, 600)]


def test_ranks_of_one_attempt_are_never_cut_by_each_other(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    _write(path, range(100), attempt=0)
    _write(path, range(80), attempt=0, rank=1)  # was killed
    _write(path, range(60, 150), attempt=1)
    _write(path, range(61, 150), attempt=1, rank=1)  # its first row came a step later
    points = open_reader(path).read(LOSS)
    keep = points.step >= 0
    rows = set(zip(points.attempt[keep], points.rank[keep], points.step[keep], strict=True))
    assert rows == (
        {(0, rank, step) for rank in (0, 1) for step in range(60)}
        | {(1, 0, step) for step in range(60, 150)}
        | {(1, 1, step) for step in range(61, 150)}
    )


def test_a_training_that_was_not_resumed_stays_whole(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    _write(path, range(100), attempt=0, training=0)
    _write(path, range(100), attempt=0, training=1, rank=1)
    _write(path, range(20, 30), attempt=1, training=1)
    reader = open_reader(path)
    assert len(_shown(reader)) == 100 + 20 + 10
    assert len(reader.read(LOSS, training=0).step) == 101


@settings(max_examples=30, deadline=None)
@given(starts=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), min_size=1, max_size=5))
def test_no_step_is_lost_or_doubled(
    starts: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, _ = create_run(tmp_path_factory.mktemp("runs"), name="x")
    history: dict[int, int] = {}
    done = 0
    for attempt, (start, length) in enumerate(starts):
        start = min(start, done) if attempt else 0
        done = start + length
        history = {step: by for step, by in history.items() if step < start}
        history |= dict.fromkeys(range(start, done), attempt)
        writer = open_writer(path, attempt=attempt, first=False)
        group = writer.group([LOSS])
        for step in range(start, done):
            writer.row(group, (0.0,), t_ns=step, training=0, step=step, phase=0)
        writer.close()
    assert _shown(open_reader(path)) == [(history[step], step) for step in range(done)]


def test_attempts_say_how_each_ended(tmp_path: Path) -> None:
    path, run = create_run(tmp_path, name="x")
    assert [(one.number, one.state) for one in open_reader(path).attempts()] == [(0, RunState.RUNNING)]
    _write(path, range(10), attempt=0)
    assert open_reader(path).status.state is RunState.FAILED
    writer = open_writer(path, attempt=next_attempt(path))
    assert writer.attempt == 1
    reader = open_reader(path)
    assert reader.status.state is RunState.RUNNING and reader.status.attempt == 1
    writer.event("console", {"stream": "stdout", "text": "x"}, t_ns=5)
    writer.status(Status(state=RunState.FINISHED, updated_ns=5, ended_ns=6, exit_code=0))
    writer.close()
    first, second = open_reader(path).attempts()
    assert (first.state, first.exit_code, first.ended_ns) == (RunState.FAILED, 1, 2)
    assert (second.state, second.exit_code, second.ended_ns) == (RunState.FINISHED, 0, 6)
    assert first.started_ns == run.created_ns < second.started_ns
    host = str(process_identity()["host"])
    assert second.hosts == (host,) and second.ranks == (0,)
    table = query(open_reader(path), "select attempt, state, exit_code, hosts from attempts order by 1")
    assert table.to_pylist()[1] == {"attempt": 1, "state": "finished", "exit_code": 0, "hosts": [host]}
    (listed,) = list_runs(tmp_path)
    assert listed.status.state is RunState.FINISHED


def test_an_attempt_that_was_killed_is_said_to_be(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    status = json.loads((path / "status.json").read_text())
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    (path / "status.json").write_text(json.dumps(status | {"pid": gone.pid, "started_ticks": 0}))
    open_writer(path, attempt=1).close()
    first, second = open_reader(path).attempts()
    assert first.state is RunState.KILLED and "ended without a word" in first.message
    assert second.state is RunState.RUNNING


def test_an_attempt_without_a_keeper_of_the_status_is_listed(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    _write(path, range(10), attempt=0, ended=False)
    _write(path, range(5, 20), attempt=1, rank=3)
    assert [(one.number, one.ranks) for one in open_reader(path).attempts()] == [(0, (0,)), (1, (3,))]
    assert next_attempt(path) == 2


def test_one_process_keeps_the_status(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    code = (
        "import sys; from pathlib import Path; from unbug.store import open_writer\n"
        "writer = open_writer(Path(sys.argv[1]), attempt=1, rank=int(sys.argv[2])); print(writer.first)\n"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(rank)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for rank in range(3)
    ]  # fmt: skip
    said = [one.stdout.readline().strip() for one in started if one.stdout is not None]
    for one in started:
        one.communicate("")
    assert sorted(said) == ["False", "False", "True"]
    assert len(list((path / "attempts").iterdir())) == 1


def test_a_resumption_that_died_over_its_beginning_does_not_block_the_next(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    (path / "attempts").mkdir()
    (path / "attempts" / "000.json").write_text('{"state": "fai')  # cut, and status.json still says attempt 0
    writer = open_writer(path, attempt=1)
    assert writer.first and open_reader(path).status.attempt == 1
    writer.close()
    assert [one.number for one in open_reader(path).attempts()] == [1]


def test_attempts_that_cannot_be(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    open_writer(path, attempt=2).close()
    with pytest.raises(UsageError, match="is at attempt 2, attempt 1 cannot begin any more"):
        open_writer(path, attempt=1)
    with pytest.raises(UsageError, match="numbered from 0 to 999, not 1000"):
        open_writer(path, attempt=1000)
    with pytest.raises(NotARunError):
        next_attempt(tmp_path)
    assert root_of(path) == path


def test_a_writer_with_nothing_to_say_makes_no_file(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    before = sorted(path.rglob("*"))
    handles = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    writers = [open_writer(path, rank=rank, first=False) for rank in range(200)]
    for writer in writers:
        writer.group([LOSS])
        writer.flush()
        writer.maintain()
    assert handles == (len(os.listdir("/proc/self/fd")) if handles else 0)
    for writer in writers:
        writer.close()
    assert sorted(path.rglob("*")) == before
    assert open_reader(path).faults == ()
