"""What stands behind `%unbug`: the options of `unbug run`, then a verb or a statement as it was typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.errors import UsageError
from unbug.notebook.options import parse


@pytest.mark.parametrize(
    ("line", "verb", "statement", "flags"),
    [
        ("", "", "", {}),
        ("--name x", "", "", {"name": "x"}),
        ("--name=x --quiet", "", "", {"name": "x", "quiet": True}),
        ("--name 'two words' --tag a --tag b", "", "", {"name": "two words", "tags": ("a", "b")}),
        ("on --name x --fail-on error", "on", "", {"name": "x", "fail_on": "error"}),
        ("--name x on", "on", "", {"name": "x"}),
        ("off", "off", "", {}),
        ("train(model)", "", "train(model)", {}),
        ("--budget 5% train(model, '--name x')", "", "train(model, '--name x')", {"budget": "5%"}),
        ("once(x)", "", "once(x)", {}),
        ("-x", None, None, None),
        ("--nmae x", None, None, None),
        ("--name 'x", None, None, None),
        ("on 'x", None, None, None),
        ("on train()", None, None, None),
    ],
)
def test_lines(line, verb, statement, flags):
    if verb is None:
        with pytest.raises(UsageError, match="cannot read `%unbug"):
            parse(line)
        return
    asked = parse(line)
    assert (asked.verb, asked.statement) == (verb, statement)
    assert {name: value for name, value in asked.flags.items() if value not in (None, ())} == flags


@given(st.text(alphabet="abc()'\"= \\,", max_size=30).map(str.strip))
def test_a_statement_is_kept_as_it_was_typed(statement):
    if statement.partition(" ")[0] not in ("on", "off"):
        assert parse(f"--name n {statement}").statement == statement
