"""Text for CSV, the types and meanings of columns, and queries that cannot be stopped."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.errors import QueryError
from unbug.store import (
    column_meaning,
    create_run,
    csv_ready,
    csv_text,
    is_asking,
    open_reader,
    plain_text,
    query,
    sql_type,
    tables,
)
from unbug.store import sql as store_sql
from unbug.store.schemas import SCHEMAS

HOSTILE = [
    "\x1b[31mred",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\u202egpj.exe",
    "\x9b2J",
    "a\x00b",
]


@given(st.text())
def test_csv_text_is_printable_and_no_formula(text: str) -> None:
    clean = csv_text(text)
    assert not any(sign in clean for sign in map(chr, (0, 7, 8, 27, 127, 0x85, 0x9B, 0x202E, 0x2066)))
    assert not clean.startswith(("=", "+", "-", "@", "\t", "\r"))
    if clean == text:
        assert plain_text(text) == text


def test_ordinary_text_stays() -> None:
    for text in ("val/acc", "layers.0.weight", "Größe µ 学习率 🙂", "two\nlines", "a\tb", "3-1", "x=1"):
        assert csv_text(text) == text
    assert csv_text("=1+1") == "'=1+1"
    assert csv_text("-\x1b[2J") == "'-\\x1b[2J"
    assert plain_text("a\u202eb\x1b") == "a\\u202eb\\x1b"


def test_csv_of_hostile_names_is_valid_and_keeps_the_rest() -> None:
    names = pa.array(HOSTILE).dictionary_encode()
    table = pa.table({"=n": names, "text": HOSTILE, "list": [[one] for one in HOSTILE], "value": [-1.5] * 9})
    out = io.BytesIO()
    pyarrow.csv.write_csv(csv_ready(table), out)
    rows = list(csv.reader(io.StringIO(out.getvalue().decode(), newline="")))
    assert rows[0] == ["'=n", "text", "list", "value"]
    assert [row[0] for row in rows[1:]] == [row[1] for row in rows[1:]] == [csv_text(one) for one in HOSTILE]
    assert {row[3] for row in rows[1:]} == {"-1.5"}
    assert b"\x1b" not in out.getvalue() and b"\x9b" not in out.getvalue()


def test_every_column_says_what_it_means_and_what_sql_sees(tmp_path: Path) -> None:
    path, _ = create_run(tmp_path, name="x")
    reader = open_reader(path)
    for name, table in tables(reader).items():
        seen = {
            row["column_name"]: row["column_type"] for row in query(reader, f"describe {name}").to_pylist()
        }
        for field in table.schema:
            assert column_meaning(name, field.name), f"{name}.{field.name}"
            assert sql_type(field.type) == seen[field.name], f"{name}.{field.name}"
        assert tables(reader).schema(name) == SCHEMAS[name]
    assert column_meaning("run", "nothing") == column_meaning("nothing", "id") == ""


def test_a_query_that_cannot_be_stopped_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sql, "GRACE_S", 0.2)
    path, _ = create_run(tmp_path, name="x")
    start = time.monotonic()
    # One call of one function over one value: DuckDB looks for an interruption before and after it.
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        query(open_reader(path), "select length(repeat('x', 900000000))", timeout_s=0.2)
    assert time.monotonic() - start < 3
    until = time.monotonic() + 60
    while is_asking() and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_asking()
