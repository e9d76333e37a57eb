"""The documented tables, SQL over them, exports."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from unbug.errors import QueryError, StoreError, UsageError
from unbug.numerics import derive, encode_histogram
from unbug.store import (
    RunReader,
    create_run,
    export_table,
    is_asking,
    open_reader,
    open_writer,
    query,
    tables,
)
from unbug.store.schemas import SCHEMAS
from unbug.types import DERIVED_STATISTICS, STORED_STATISTICS, Place, Series, Training

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> RunReader:
    path, _ = create_run(
        tmp_path_factory.mktemp("runs"), name="a \ud800 run", wall_ns=lambda: 10**18, clock_ns=lambda: 1000
    )
    writer = open_writer(path, roll_flushes=2)
    weight = Place(path="fc.weight", kind="parameter", training=0, shape=(3, 4), source=("a.py", 5))
    loss = writer.group([Series(name="loss.value", place=Place(path="loss", kind="loss", training=0))])
    user = writer.group([Series(name="val/acc", place=Place(path="loop", kind="loop"), origin="user")])
    stored = writer.group(
        [Series(name=f"weight.{one}", place=weight) for one in STORED_STATISTICS], kind="detail"
    )
    ratio = writer.group([Series(name="update.ratio", place=weight)], kind="detail")
    histogram = writer.group([Series(name="weight.exponents", place=weight)], kind="blob")
    for step in range(10):
        keys = {"t_ns": 1000 + step, "training": 0, "step": step, "phase": 0}
        writer.row(loss, (1 / (step + 1),), **keys)
        writer.row(user, (math.nan if step == 3 else step / 10,), user_step=step * 5, **keys)
        writer.row(stored, [12.0, 0.5, 3.0, -1.0, 2.0, 1.0, 0.0, 0.0, math.nan], **keys)
        writer.row(ratio, (0.001,), **keys)
        writer.row(histogram, encode_histogram(-4, [1, 2, 9], 0, 0, 12), **keys)
        writer.flush()
    writer.row(histogram, b"no histogram", t_ns=0, training=0, step=99)
    writer.event("console", {"stream": "stdout", "text": "half \ud800 a pair"}, t_ns=1005, step=4)
    call = {
        "function": "mse_loss",
        "line": 7,
        "input_shape": [8, 1],
        "target_shape": [8],
        "broadcast": [8, 8],
    }
    writer.event("loss_call", call | {"input_min": "nan", "classes": None, "unheard": 1}, t_ns=1006)
    writer.event("loss_call", {"function": 5, "line": "seven", "input_shape": "odd"}, t_ns=1007)
    writer.training(Training(number=0, steps=10, optimizers=("SGD",), facts={"a": 1}))
    writer.maintain(budget_s=10.0)
    writer.close()
    return open_reader(path)


def test_every_table_has_its_documented_columns(reader: RunReader) -> None:
    made = tables(reader)
    assert set(made) == set(SCHEMAS)
    for name in made:
        assert made[name].schema == SCHEMAS[name], name
        made[name].validate(full=True)
    with pytest.raises(KeyError):
        made["nonsense"]


def test_the_reference_page_lists_the_columns_there_are() -> None:
    page = (REPO / "docs/reference/tables.md").read_text(encoding="utf-8")
    keys = re.findall(r"`(\w+)`", _first_cells(page.split("## `run`")[0]))
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, flags=re.M | re.S))
    assert set(sections) == set(SCHEMAS)
    for name, text in sections.items():
        cells = _first_cells(text)
        documented = re.findall(r"`(\w+)`", cells) + (keys if "*keys*" in cells else [])
        assert sorted(documented) == sorted(SCHEMAS[name].names), name


def _first_cells(text: str) -> str:
    return "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))


def test_scalars_hold_what_was_written(reader: RunReader) -> None:
    found = tables(reader)["scalars"].to_pylist()
    losses = [row for row in found if row["name"] == "loss.value"]
    assert [row["value"] for row in losses] == [1 / (step + 1) for step in range(10)]
    assert {row["phase"] for row in losses} == {"train"}
    assert [row["user_step"] for row in losses] == [None] * 10
    assert str(losses[4]["time"]) == "2001-09-09 01:46:40.000000004+00:00"
    user = [row for row in found if row["origin"] == "user"]
    assert [row["user_step"] for row in user] == [5.0 * step for step in range(10)]
    assert math.isnan(user[3]["value"])
    assert {row["name"] for row in found} == {"loss.value", "val/acc", "update.ratio"}


def test_summaries_hold_stored_and_derived_statistics(reader: RunReader) -> None:
    found = tables(reader)["summaries"].to_pylist()
    assert len(found) == 10
    stored = dict(zip(STORED_STATISTICS, np.array([[12, 0.5, 3, -1, 2, 1, 0, 0, np.nan]]).T, strict=True))
    for row in found:
        assert (row["quantity"], row["place"], row["saturated"]) == ("weight", "fc.weight", None)
        for name in DERIVED_STATISTICS:
            expected = float(derive(name, stored)[0])
            assert row[name] == (None if math.isnan(expected) else expected)


def test_the_other_tables(reader: RunReader) -> None:
    made = tables(reader)
    assert made["run"].to_pylist()[0]["name"] == "a ? run"
    assert made["trainings"].to_pylist() == [
        {
            "training": 0,
            "steps": 10,
            "parameters": 0,
            "optimizers": ["SGD"],
            "ended": False,
            "facts": '{"a": 1}',
        }
    ]
    (weight,) = [row for row in made["places"].to_pylist() if row["kind"] == "parameter"]
    assert (weight["shape"], weight["source_file"], weight["source_line"]) == ([3, 4], "a.py", 5)
    histograms = made["histograms"].to_pylist()
    assert len(histograms) == 10
    assert (histograms[0]["exponent"], histograms[0]["counts"]) == (-4, [1, 2, 9])
    assert made["console"].to_pylist()[0]["text"] == "half ? a pair"
    first, second = made["loss_calls"].to_pylist()
    assert (first["broadcast"], first["classes"]) == ([8, 8], None)
    assert math.isnan(first["input_min"])
    assert (second["function"], second["line"], second["input_shape"]) == ("5", None, [None] * 3)
    assert len(made["series"]) == 2 + 9 + 1 + 1


def test_sql(reader: RunReader) -> None:
    answer = query(reader, "select max(value) as best, count(*) as n from scalars where name = 'loss.value'")
    assert answer.to_pylist() == [{"best": 1.0, "n": 10}]
    assert len(query(reader, "from scalars", rows=3)) == 3
    assert "summaries" in str(query(reader, "show tables").to_pylist())
    assert len(query(reader, "describe events")) == len(SCHEMAS["events"])
    join = "select s.place, p.class_name from summaries s join places p using (place) limit 1;"
    assert query(reader, join).to_pylist() == [{"place": "fc.weight", "class_name": ""}]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("", "it holds 0 statements"),
        ("select 1; select 2", "it holds 2 statements"),
        ("selec 1", "syntax error"),
        ("select nope from scalars", r'"nope" not found.*"name"'),
        ("select * from nope", "nope does not exist"),
        ("drop table scalars", "read-only and DROP"),
        ("insert into scalars values (1)", "read-only and INSERT"),
        ("copy scalars to '/tmp/x.csv'", "read-only and COPY"),
        ("attach '/tmp/x.db'", "read-only and ATTACH"),
        ("set threads = 8", "read-only and SET"),
        ("install httpfs", "read-only and"),
        ("select * from '/etc/passwd'", "does not exist"),
        ("select * from read_text('/etc/passwd')", "disabled"),
        ("select * from glob('/*')", "disabled"),
        ("select * from reader", "does not exist"),
        ("select getenv('HOME')", "does not exist"),
    ],
)
def test_sql_that_is_wrong_or_reaches_out(reader: RunReader, sql: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason) as caught:
        query(reader, sql)
    assert caught.value.query == sql
    assert "`unbug sql RUN --tables`" in str(caught.value)


ENDLESS = "select count(*) from range(1000000000) a, range(1000000000) b"


def test_sql_computes_with_times_and_summarises_every_table(reader: RunReader) -> None:
    for name in tables(reader):
        assert query(reader, f"summarize {name}").num_rows == len(tables(reader)[name].schema)
    answer = query(reader, "select max(time) - min(time) as took, date_trunc('hour', min(time)) from scalars")
    assert answer.column("took")[0].as_py().days == 0


def test_sql_writes_nothing_beside_the_program(reader: RunReader) -> None:
    assert query(reader, "select current_setting('temp_directory') as at").to_pylist() == [{"at": ""}]
    assert query(reader, "select current_setting('enable_progress_bar') as on").to_pylist() == [{"on": False}]


def test_sql_that_takes_too_long(reader: RunReader) -> None:
    start = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 0.3 s"):
        query(reader, ENDLESS, timeout_s=0.3)
    assert time.monotonic() - start < 10


def test_a_query_that_does_not_stop_is_said_to_go_on(
    reader: RunReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unbug.store.sql.GRACE_S", 0.05)
    start = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 0.01 s") as caught:
        query(reader, "select length(repeat('x', 1000000000))", timeout_s=0.01)
    assert time.monotonic() - start < 5
    assert ["goes on" in note for note in caught.value.__notes__] == [True]
    while is_asking():  # its memory is wanted back
        time.sleep(0.02)


def test_control_c_stops_a_query(reader: RunReader) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        query(reader, ENDLESS, timeout_s=30.0)
    assert time.monotonic() - start < 10
    timer.join()


def test_exports(reader: RunReader, tmp_path: Path) -> None:
    made = tables(reader)
    for name in made:
        for kind in ("csv", "json", "parquet"):
            assert export_table(made[name], tmp_path / f"{name}.{kind}", format=kind) > 0
        assert len(json.loads((tmp_path / f"{name}.json").read_text())) == len(made[name])
        again = pq.read_table(tmp_path / f"{name}.parquet")
        assert repr(again.to_pylist()) == repr(made[name].to_pylist())
        with (tmp_path / f"{name}.csv").open(newline="") as text:
            assert len(list(csv.reader(text))) == len(made[name]) + 1
    rows = json.loads((tmp_path / "scalars.json").read_text())
    assert {row["value"] for row in rows if row["origin"] == "user"} >= {"nan", 0.9}
    assert sorted(one.suffix for one in tmp_path.iterdir() if one.suffix == ".tmp") == []
    with pytest.raises(UsageError, match="cannot export as 'xls'; there is csv, json, parquet"):
        export_table(made["run"], tmp_path / "x", format="xls")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"cannot write .*No such file"):
        export_table(made["run"], tmp_path / "none" / "x.csv", format="csv")
