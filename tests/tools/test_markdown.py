"""Docstrings and signatures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from tools.pages.markdown import cell, docstring, signature, table


def _example(
    first: int, *, second: Mapping[str, int] | None = None, third_of_the_names: str = "x, y (z"
) -> int:
    """Do it, in one sentence
    over two lines.

    A second paragraph.

    Args:
        first: One thing,
            over two lines.
        second, third_of_the_names: Two things: with a colon.
    Returns:
        A number.
    Raises:
        ValueError: it cannot.
    """
    return first


def test_a_docstring_becomes_prose_and_lists():
    assert docstring(_example).split("\n\n") == [
        "Do it, in one sentence over two lines.",
        "A second paragraph.",
        "**Args**",
        "- `first`: One thing, over two lines.\n- `second`, `third_of_the_names`: Two things: with a colon.",
        "**Returns**",
        "A number.",
        "**Raises**",
        "- `ValueError`: it cannot.",
    ]


def test_a_missing_docstring_is_empty():
    assert docstring(lambda: None) == ""


def test_a_long_signature_has_a_line_for_each_parameter():
    lines = signature(_example, "unbug.example").splitlines()
    assert lines[1:-1] == [
        "unbug.example(",
        "    first: int,",
        "    *,",
        "    second: Mapping[str, int] | None = None,",
        "    third_of_the_names: str = 'x, y (z',",
        ") -> int",
    ]


def test_a_short_signature_stays_on_its_line():
    assert signature(lambda value, *, unit="s": 0, "f").splitlines()[1] == "f(value, *, unit='s')"


def test_a_cell_breaks_no_table():
    assert cell("a | b\n c") == "a \\| b c"
    assert table(("x",), [("1|2",)]).count("\n") == 2
