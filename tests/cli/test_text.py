"""Tables and numbers as they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.cli.commands.run import split
from unbug.cli.style import clip, visible_width
from unbug.cli.table import Column, render_table
from unbug.cli.words import ago, count, duration, number, size

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(TEXT, st.integers(1, 40))
def test_a_clipped_text_fits_and_cannot_steer_the_terminal(text, width):
    shown = clip(text, width)
    assert visible_width(shown) <= width
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
    assert not set(shown) & set("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=8), st.integers(40, 120))
def test_a_table_is_never_wider_than_the_terminal(rows, width):
    columns = (
        Column(title="A", gives_way=True),
        Column(title="B", drop=1),
        Column(title="C", gives_way=True),
    )
    lines = render_table(columns, rows, width=width).split("\n")
    assert len(lines) == len(rows) + 1
    assert max(map(visible_width, lines)) <= width


def test_columns_are_aligned_and_the_least_one_is_dropped():
    columns = (
        Column(title="NAME", gives_way=True),
        Column(title="N", right=True),
        Column(title="ID", drop=1),
    )
    rows = [["a" * 30, "5", "x" * 20], ["日本", "1234", "y"]]
    wide = render_table(columns, rows, width=None).split("\n")
    assert wide[1] == f"{'a' * 30}     5  {'x' * 20}"
    assert wide[2] == f"日本{' ' * 26}  1234  y"
    assert render_table(columns, rows, width=40).split("\n")[0] == f"NAME{' ' * 26}     N"


@pytest.mark.parametrize(
    ("words", "ours", "program"),
    [
        (["train.py"], [], ["train.py"]),
        (["--name", "x", "train.py", "--name", "y"], ["--name", "x"], ["train.py", "--name", "y"]),
        (["--name=x", "-m", "pkg.train", "-m", "z"], ["--name=x"], ["-m", "pkg.train", "-m", "z"]),
        (["-mpkg", "a"], [], ["-m", "pkg", "a"]),
        (["--quiet", "--", "--strange.py"], ["--quiet"], ["--", "--strange.py"]),
        (["--budget", "2%", "--help"], ["--budget", "2%", "--help"], []),
        (["--name", "-m", "train.py"], ["--name", "-m"], ["train.py"]),
        ([], [], []),
    ],
)
def test_the_program_keeps_its_words(words, ours, program):
    assert split(words) == (ours, program)


@given(st.lists(st.text(max_size=5), max_size=6))
def test_what_follows_the_script_is_the_programs(arguments):
    assert split(["--tag", "t", "train.py", *arguments]) == (["--tag", "t"], ["train.py", *arguments])


def test_numbers():
    assert [duration(s) for s in (0.05, 9.94, 59.6, 185, 7440, 273_600)] == [
        "0.1 s", "9.9 s", "1 min", "3 min 5 s", "2 h 4 min", "3 d 4 h",
    ]  # fmt: skip
    assert [ago(s) for s in (3, 61, 7200, 200_000)] == ["just now", "1 min ago", "2 h ago", "2 d ago"]
    assert [size(n) for n in (0, 999, 1000, 12_345, 200_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "12 kB",
        "200 MB",
    ]
    assert [number(v) for v in (None, float("nan"), 0.123456, 12345.678)] == [
        "-",
        "nan",
        "0.1235",
        "1.235e+04",
    ]
    assert [count(n, "step") for n in (0, 1, 12_000)] == ["0 steps", "1 step", "12,000 steps"]
