"""Ranks, attempts and folded trainings: what a reader makes of several writers. Curves against plain
arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbug.store import Curve, RunReader, create_run, open_reader, open_writer
from unbug.types import Place, Series, Training


def _loss(training: int) -> Series:
    return Series(name="loss.value", place=Place(path="loss", kind="loss", training=training))


def test_ranks_and_attempts_share_a_series_and_keep_their_rows(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    for attempt, steps in ((0, range(6)), (1, range(4, 8))):
        for rank in (0, 1):
            writer = open_writer(path, rank=rank, attempt=attempt, first=rank == 0 and attempt == 0)
            group = writer.group([_loss(0)])
            for step in steps:
                writer.row(
                    group, (step + rank / 10 + attempt * 100,), t_ns=step, training=0, step=step, phase=0
                )
            writer.close()
    reader = open_reader(path)
    (series,) = reader.series()
    points = reader.read(series, all_attempts=True)
    assert list(zip(points.attempt.tolist(), points.step.tolist(), strict=True)) == sorted(
        [(0, step) for step in range(6)] * 2 + [(1, step) for step in range(4, 8)] * 2
    )
    assert set(points.rank.tolist()) == {0, 1}
    assert points.values[(points.attempt == 1) & (points.rank == 1)].tolist() == [104.1, 105.1, 106.1, 107.1]
    assert reader.curve(series, points=1, all_attempts=True).count.tolist() == [20]
    assert reader.curve(series, points=1).count.tolist() == [16]


def test_a_training_that_is_part_of_another_is_folded_in(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    writer = open_writer(path)
    for number in (0, 1, 2, 3):
        group = writer.group([_loss(number)])
        writer.row(group, (float(number),), t_ns=number, training=number, step=10 * number, phase=0)
        writer.event("seeds", {"n": number}, t_ns=number, training=number)
        same_as = {1: 0, 2: 1}.get(number)
        writer.training(Training(number=number, steps=number, optimizers=("SGD",), same_as=same_as))
    writer.training(Training(number=0, steps=99, optimizers=("SGD",), parameters=7, facts={"a": [1]}))
    writer.close()
    reader = open_reader(path)
    assert [one.number for one in reader.trainings()] == [0, 3]
    assert reader.trainings()[0] == Training(
        number=0, steps=99, optimizers=("SGD",), parameters=7, facts={"a": [1]}
    )
    assert {(one.name, one.place.training) for one in reader.series()} == {
        ("loss.value", 0),
        ("loss.value", 3),
    }
    (series,) = reader.find(name="loss.value", training=0)
    points = reader.read(series, training=0)
    assert points.values.tolist() == [0.0, 1.0, 2.0]
    assert points.training.tolist() == [0, 0, 0]
    assert [one.fields["n"] for one in reader.events("seeds", training=0)] == [0, 1, 2]
    assert reader.curve(series, training=0).count.sum() == 3
    assert [place.training for place in reader.places()] == [0, 3]


def test_trainings_that_claim_to_be_each_other_end_the_search(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    writer = open_writer(path)
    writer.training(Training(number=0, same_as=1))
    writer.training(Training(number=1, same_as=0))
    writer.training(Training(number=2, same_as=77))
    writer.event("training", {"number": "many"}, t_ns=0)
    writer.event("training", {}, t_ns=0)
    writer.close()
    assert [one.number for one in open_reader(path).trainings()] == [0, 2]


def test_the_clock_of_another_machine_is_brought_to_the_run(tmp_path: Path) -> None:
    path, run = create_run(tmp_path, name="x", wall_ns=lambda: 1_000_000, clock_ns=lambda: 500)
    here = open_writer(path, clock_ns=lambda: 600, wall_ns=lambda: 1_000_100)
    here.event("console", {"text": "here"}, t_ns=700)
    here.close()
    there = open_writer(path, rank=1, first=False, clock_ns=lambda: 9_000, wall_ns=lambda: 1_000_150)
    header = there._new[0]["writer"]
    header["boot_id"] = "another machine"
    there.event("console", {"text": "there"}, t_ns=9_010)
    there.close()
    events = open_reader(path).events("console")
    assert [(one.fields["text"], one.t_ns, one.rank) for one in events] == [
        ("there", 660, 1),
        ("here", 700, 0),
    ]
    assert run.anchor_ns == 500
    assert json.loads((path / "run.json").read_text())["anchor_ns"] == 500


def _run_of(
    tmp_path: Path, values: np.ndarray, trainings: np.ndarray, phases: np.ndarray, roll: int
) -> RunReader:
    path, _ = create_run(tmp_path / "curves", name="x")
    writer = open_writer(path, roll_flushes=roll)
    group = writer.group([_loss(-1), Series(name="other", place=Place(path="loss", kind="loss"))])
    rows = zip(values.tolist(), trainings.tolist(), phases.tolist(), strict=True)
    for step, (value, training, phase) in enumerate(rows):
        writer.row(group, (value, -value), t_ns=7 * step, training=training, step=step, phase=phase)
        if step % 1500 == 1499:
            writer.flush()
            writer.maintain(budget_s=60.0)
    writer.close()
    return open_reader(path)


def _agrees(curve: Curve, values: np.ndarray, steps: np.ndarray) -> None:
    """Each bucket against numpy over the rows whose steps it covers."""
    assert curve.count.sum() == len(values)
    for at in range(len(curve.count)):
        inside = values[(steps >= curve.step_first[at]) & (steps <= curve.step_last[at])]
        assert len(inside) == curve.count[at]
        finite = inside[np.isfinite(inside)]
        assert curve.nonfinite[at] == len(inside) - len(finite)
        if len(finite):
            assert curve.low[at] == finite.min()
            assert curve.high[at] == finite.max()
            assert curve.mean[at] == pytest.approx(finite.mean(), rel=1e-9, abs=1e-12)
        else:
            assert np.isnan([curve.low[at], curve.high[at], curve.mean[at]]).all()
    assert curve.exact == bool((curve.count == 1).all())


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 30),
    rows=st.integers(1, 9000),
    bad=st.sampled_from([0.0, 0.01, 1.0]),
    roll=st.sampled_from([1, 3]),
    points=st.sampled_from([1, 7, 100, 2000, 100_000]),
)
def test_a_curve_is_what_its_rows_say(
    tmp_path: Path, seed: int, rows: int, bad: float, roll: int, points: int
) -> None:
    chance = np.random.default_rng(seed)
    values = chance.normal(size=rows) * 10.0 ** chance.integers(-5, 5)
    values[chance.random(rows) < bad] = chance.choice([np.nan, np.inf, -np.inf])
    trainings = np.sort(chance.integers(0, 3, rows))
    phases = np.zeros(rows, np.int64)
    reader = _run_of(tmp_path, values, trainings, phases, roll)
    steps = np.arange(rows)
    (series,) = reader.find(name="loss.value")
    curve = reader.curve(series, points=points)
    _agrees(curve, values, steps)
    assert len(curve.count) <= max(points, 1) + 3
    if rows > points:
        assert len(curve.count) >= min(points, rows) / 8
    mine = trainings == 1
    _agrees(reader.curve(series, points=points, training=1), values[mine], steps[mine])
    start, stop = sorted(chance.integers(0, rows + 1, 2).tolist())
    part = reader.curve(series, points=points, start=start, stop=stop)
    _agrees(part, values[start:stop], steps[start:stop])
    (other,) = reader.find(name="other")
    assert reader.read(other).values.tobytes() == (-values).tobytes()
    reader.close()


def test_alternating_phases_do_not_straddle_and_lose_nothing(tmp_path: Path) -> None:
    rows = 6000
    values = np.arange(rows, dtype=np.float64)
    reader = _run_of(tmp_path, values, np.zeros(rows, np.int64), np.arange(rows) // 7 % 2, 1)
    (series,) = reader.find(name="loss.value")
    assert reader.read(series).values.tolist() == values.tolist()
    curve = reader.curve(series, points=50)
    assert curve.count.sum() == rows
    assert (curve.low.min(), curve.high.max()) == (0.0, rows - 1.0)


def test_steps_out_of_order_are_kept_and_sorted(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    writer = open_writer(path, roll_flushes=1)
    group = writer.group([_loss(0)])
    order = [5, 3, 9, 3, -1, 7]
    for at, step in enumerate(order):
        writer.row(group, (float(at),), t_ns=at, training=0, step=step, user_step=100.0 - at)
        writer.flush()
        writer.maintain(budget_s=5.0)
    writer.close()
    points = open_reader(path).read(_loss(0))
    assert points.step.tolist() == sorted(order)
    assert points.values.tolist() == [4.0, 1.0, 3.0, 0.0, 5.0, 2.0]
    assert points.user_step.tolist() == [96.0, 99.0, 97.0, 100.0, 95.0, 98.0]


def test_a_series_that_is_not_there_is_empty(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    reader = open_reader(path)
    assert reader.read(_loss(0)).values.tolist() == []
    curve = reader.curve(_loss(0))
    assert len(curve.count) == 0
    assert list(reader.blobs(_loss(0))) == []
    assert (reader.series(), reader.places(), reader.trainings(), reader.events()) == ((), (), (), ())
