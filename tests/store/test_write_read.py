"""What is written is read: over random groups, flushes, rolls and merges, against a plain list."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from unbug.store import create_run, open_reader, open_writer
from unbug.types import Place, Series, Training

FLOATS = st.floats(width=64, allow_nan=True) | st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308])
STEPS = st.integers(-1, 50) | st.integers(-(1 << 62), 1 << 62)
KEYS = st.tuples(
    STEPS,
    st.integers(-1, 3),
    st.integers(0, 4),
    st.sampled_from([0, 1, 2]),
    st.none() | st.floats(allow_nan=False),
)


def bits(values: Any) -> list[int]:
    return np.asarray(values, np.float64).view(np.uint64).tolist()


class Store(RuleBasedStateMachine):
    """Two writers of one run and a reader that lives through everything; the model is a list a series."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.time = 0
        path, _ = create_run(Path(self.directory.name), name="x", clock_ns=lambda: 0)
        self.path = path
        self.writers = [
            open_writer(path, rank=rank, first=rank == 0, clock_ns=lambda: self.time, roll_flushes=1 + rank)
            for rank in (0, 1)
        ]
        self.reader = open_reader(path)
        self.groups: list[dict[tuple[str, int], int]] = [{}, {}]
        self.written: dict[str, list[tuple[Any, ...]]] = {}
        self.queued: list[list[tuple[str, tuple[Any, ...]]]] = [[], []]
        self.events: list[tuple[str, int]] = []

    def series(self, kind: str, number: int) -> tuple[Series, ...]:
        place = Place(path=f"{kind}{number}", kind="module")
        width = 1 if kind == "blob" else 1 + number
        return tuple(Series(name=f"{kind}.{column}", place=place) for column in range(width))

    @rule(
        who=st.sampled_from([0, 1]),
        kind=st.sampled_from(["scalar", "detail", "blob"]),
        number=st.integers(0, 2),
        keys=st.lists(KEYS, min_size=1, max_size=6),
        data=st.data(),
    )
    def write(self, who: int, kind: str, number: int, keys: list[Any], data: st.DataObject) -> None:
        series = self.series(kind, number)
        group = self.writers[who].group(series, kind=kind)  # type: ignore[arg-type]
        for step, training, micro, phase, user_step in keys:
            self.time += 1
            if kind == "blob":
                value: Any = data.draw(st.binary(max_size=40))
            else:
                value = data.draw(st.lists(FLOATS, min_size=len(series), max_size=len(series)))
            self.writers[who].row(
                group,
                value,
                t_ns=self.time,
                training=training,
                step=step,
                micro=micro,
                phase=phase,
                user_step=user_step,
            )
            for column, one in enumerate(series):
                row = (training, step, micro, self.time, phase, user_step, who)
                row = (*row, value if kind == "blob" else bits([value[column]])[0])
                self.queued[who].append((f"{one.place.path}/{one.name}", row))

    @rule(who=st.sampled_from([0, 1]), text=st.text(max_size=10))
    def event(self, who: int, text: str) -> None:
        self.time += 1
        self.writers[who].event("console", {"text": text}, t_ns=self.time)
        self.queued[who].append(("", (text, self.time)))

    @rule(who=st.sampled_from([0, 1]))
    def flush(self, who: int) -> None:
        self.writers[who].flush()
        for name, row in self.queued[who]:
            if name:
                self.written.setdefault(name, []).append(row)
            else:
                self.events.append((row[0], row[1]))
        self.queued[who].clear()

    @rule(who=st.sampled_from([0, 1]), budget_s=st.sampled_from([0.0, 10.0]))
    def maintain(self, who: int, budget_s: float) -> None:
        self.writers[who].maintain(budget_s=budget_s)

    @rule()
    def reopen(self) -> None:
        self.reader.close()
        self.reader = open_reader(self.path)

    @rule()
    def compare(self) -> None:
        self.reader.refresh()
        self.check()

    def check(self) -> None:
        found = {f"{one.place.path}/{one.name}": one for one in self.reader.series()}
        assert self.written.keys() <= found.keys()
        for name, rows in self.written.items():
            series = found[name]
            if series.place.path.startswith("blob"):
                got = sorted(self.reader.blobs(series))
                assert got == sorted((row[0], row[1], row[7]) for row in rows)
                continue
            points = self.reader.read(series)
            rows = sorted(rows, key=lambda row: row[:4])
            assert points.training.tolist() == [row[0] for row in rows]
            assert points.step.tolist() == [row[1] for row in rows]
            assert points.micro.tolist() == [row[2] for row in rows]
            assert points.t_ns.tolist() == [row[3] for row in rows]
            assert points.phase.tolist() == [row[4] for row in rows]
            assert bits(points.user_step) == bits([np.nan if row[5] is None else row[5] for row in rows])
            assert points.rank.tolist() == [row[6] for row in rows]
            assert bits(points.values) == [row[7] for row in rows]
            self.check_curve(series, points)
        assert [(one.fields["text"], one.t_ns) for one in self.reader.events("console")] == sorted(
            self.events, key=lambda event: event[1]
        )
        assert self.reader.faults == ()
        assert all(writer.lost == () for writer in self.writers)

    def check_curve(self, series: Series, points: Any) -> None:
        for wanted in (1, 3, 100):
            curve = self.reader.curve(series, points=wanted)
            finite = np.isfinite(points.values)
            assert curve.count.sum() == len(points.step)
            assert curve.nonfinite.sum() == (~finite).sum()
            assert (curve.step_first <= curve.step_last).all()
            if finite.any():
                assert np.nanmin(curve.low) == points.values[finite].min()
                assert np.nanmax(curve.high) == points.values[finite].max()

    def teardown(self) -> None:
        for who in (0, 1):
            self.flush(who)
            self.writers[who].close()
        self.reader.refresh()
        self.check()
        self.reader.close()
        self.directory.cleanup()


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_long_run_of_small_flushes_ends_in_few_files(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    writer = open_writer(path, roll_flushes=2)
    loss = writer.group([Series(name="loss.value", place=Place(path="loss", kind="loss"))])
    rare = writer.group([Series(name="rare", place=Place(path="loss", kind="loss"))])
    for step in range(600):
        writer.row(loss, (step / 7,), t_ns=step, training=0, step=step, phase=0)
        if step % 100 == 0:
            writer.row(rare, (-1.0,), t_ns=step, training=0, step=step, phase=0)
            writer.event("console", {"text": str(step)}, t_ns=step)
        writer.training(Training(number=0, steps=step + 1))
        writer.flush()
        writer.maintain(budget_s=0.0 if step % 3 else 0.05)
    writer.maintain(budget_s=60.0)
    writer.close()
    assert len(list(writer.folder.iterdir())) < 2 + 2 * 8 * 4
    reader = open_reader(path)
    (series,) = reader.find(name="loss.value")
    points = reader.read(series)
    assert points.step.tolist() == list(range(600))
    assert points.values.tolist() == [step / 7 for step in range(600)]
    assert reader.read(series, start=500, stop=510).step.tolist() == list(range(500, 510))
    assert reader.read(series, training=1).step.tolist() == []
    assert [event.fields["text"] for event in reader.events("console")] == [
        str(s) for s in range(0, 600, 100)
    ]
    assert reader.trainings() == (Training(number=0, steps=600),)
    assert reader.find(name="rare", training=0) == reader.find(name="rare") != ()
    assert reader.find(name="rare", training=5) == ()
    reader.close()
