"""The benchmark runner: bars are gathered, a benchmark that cannot measure is a failure."""

from __future__ import annotations

import re

import pytest

from bench import bars
from tools import bench


def test_what_a_benchmark_states_is_what_the_table_shows(capsys):
    assert bars.at_most("cost", 1.019, 1.02, unit="x", note="interval 1.01 to 1.019")
    assert bars.at_most("exactly", 2, 2)
    assert not bars.at_least("faster than", 39.9, 40)
    assert not bars.at_most("not a number", float("nan"), 1)
    assert bars.holds("bits", True, bar="identical", measured="12 of 12")
    found = bench.bars("x", "free text\n" + capsys.readouterr().out)
    assert [(b.what, b.measured, b.bar, b.holds) for b in found] == [
        ("cost", "1.019 x", "<= 1.02 x", True),
        ("exactly", "2", "<= 2", True),
        ("faster than", "39.9", ">= 40", False),
        ("not a number", "nan", "<= 1", False),
        ("bits", "12 of 12", "identical", True),
    ]
    assert "| faster than | 39.9 | >= 40 | **no** |" in bench.markdown(found, "machine")


@pytest.mark.parametrize(
    ("program", "holds", "told"),
    [
        ("raise SystemExit(3)", False, "exit code 3"),
        ("print('nothing stated')", False, "stated no bar"),
        ("import bars; bars.at_most('x', 1, 2)", True, "1"),
    ],
)
def test_a_run(tmp_path, monkeypatch, program, holds, told):
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("PYTHONPATH", str(bench.REPO / "bench"))
    script = tmp_path / "some.py"
    script.write_text(program)
    (found,) = bench.run(script)
    assert (found.holds, found.measured) == (holds, told)
    assert (tmp_path / "results" / "some.txt").exists()


def test_an_unknown_name_is_told(capsys):
    assert bench.main(["nonesuch"]) == 2
    assert "no benchmark nonesuch" in capsys.readouterr().err


def test_only_benchmarks_that_state_bars_are_run():
    chosen = {path.stem for path in (bench.REPO / "bench").glob("*.py") if bench.is_script(path)}
    assert {"cost", "scalars", "crash", "reading", "size", "kernel", "same"} <= chosen
    assert not chosen & {"real", "real_page", "real_equal", "_measured", "models", "bars", "cuda"}
    stating = {
        path.stem
        for path in (bench.REPO / "bench").glob("*.py")
        if re.search(r"\bbars\.|from bars import", path.read_text())
    }
    assert chosen <= stating, "a benchmark without a bar cannot be judged"
