"""`unbug sql` ends when it says it does, takes no more memory than it may, and prints nothing that acts."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import time

import pytest

from unbug.store import create_run, open_writer
from unbug.types import Place, Series

NAME = "=1+1\x1b[31m\u202e"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    path, _ = create_run(tmp_path_factory.mktemp("hostile"), name="hostile")
    writer = open_writer(path)
    group = writer.group([Series(name=NAME, place=Place(path="loop", kind="loop"), origin="user")])
    writer.row(group, (-1.0,), t_ns=1, step=0)
    writer.close()
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps the limit")
def test_a_query_that_wants_too_much_memory(trained):
    start = time.monotonic()
    done = trained("sql", "@last", "select repeat('x', 4000000000)", code=2)
    assert "it needs more memory than a query may take; ask for less" in done.stderr
    assert time.monotonic() - start < 30


def test_a_query_that_does_not_stop_is_ended(trained):
    start = time.monotonic()
    query = "select sum(length(repeat('x', 1500000000 + a::int))) from range(1) r(a)"
    done = trained("sql", "@last", query, "--timeout", "0.2", code=2)
    assert "it took longer than 0.2 s; ask for less" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--rows", "0"), "`--rows` takes a number from 1"), (("--timeout", "0"), "`--timeout` takes seconds")],
)
def test_limits_that_cannot_be(trained, words, says):
    assert says in trained("sql", "@last", "select 1", *words, code=2).stderr


def test_csv_holds_nothing_that_acts(trained, hostile, tmp_path):
    shown = "'=1+1\\x1b[31m\\u202e"
    out = trained("sql", hostile, "select name, value from scalars", "--csv").stdout
    assert list(csv.reader(io.StringIO(out))) == [["name", "value"], [shown, "-1.0"]]
    file = tmp_path / "scalars.csv"
    trained("export", hostile, "scalars", "-o", file)
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert row["name"] == shown and row["value"] == "-1"
    for words in (("show",), ("sql", "select * from series"), ("export", "series"), ("diagnose",)):
        out = trained(words[0], hostile, *words[1:]).stdout
        assert "\x1b" not in out and "\u202e" not in out, words


def test_tables_say_types_as_queries_see_them(trained):
    out = trained("sql", "@last", "--tables").stdout
    assert "dictionary" not in out
    line = next(line for line in out.splitlines() if line.startswith("scalars") and " phase " in line)
    assert line.split(maxsplit=3) == ["scalars", "phase", "VARCHAR", "train, eval or other"]


def test_sql_starts_without_pandas(trained):
    code = (
        "import sys; from unbug.cli.main import main\n"
        "assert main(['sql', '@last', 'select count(*) from scalars']) == 0\n"
        "assert 'pandas' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env=trained.environment(), capture_output=True)
