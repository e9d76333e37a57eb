"""One text of many strings."""

import pytest

from unbug.privacy.many import text_of_many


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ({"a": ["x"] * 999}, 0),
        ({"a": ["x"] * 1000}, 1001),
        ([{"name": "x", "of": (1, None, 2.5)}] * 1000, 1002),
        ([{"password": "x"}] * 1000, 0),
    ],
)
def test_large_values_become_one_text(value, texts):
    assert len(text_of_many(value).split()) == texts
