"""Curves: whatever the numbers, everything drawn lies inside the picture."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbug.report.drawing import SIZE, Chart, Line, chart, spark
from unbug.report.pictures import MOST_BUCKETS, reduced
from unbug.report.scale import fit, wants_log
from unbug.report.words import count, duration, listed, number, sentence

anything = st.floats(allow_nan=True, allow_infinity=True)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(anything, min_size=1, max_size=60),
    threshold=st.none() | anything,
    marks=st.lists(st.integers(0, 80), max_size=3),
    title=st.text(max_size=20),
)
def test_everything_lies_inside_the_picture(values, threshold, marks, title):
    text = chart(
        Chart(
            lines=(Line(steps=range(len(values)), values=values),),
            threshold=threshold,
            marks=marks,
            title=title,
        )
    )
    root = ET.fromstring(text)
    for element in root.iter():
        for key, limit in (
            ("x", SIZE[0]),
            ("x1", SIZE[0]),
            ("x2", SIZE[0]),
            ("cx", SIZE[0]),
            ("y", SIZE[1]),
            ("cy", SIZE[1]),
        ):
            if key in element.attrib:
                assert -10 <= float(element.attrib[key]) <= limit + 10, (element.tag, element.attrib)
        if element.tag == "path" and element.get("class") in ("l0", "band l0"):
            numbers = [float(n) for n in NUMBER.findall(element.attrib["d"])]
            assert all(math.isfinite(n) for n in numbers)
            assert all(-1 <= x <= SIZE[0] + 1 for x in numbers[::2]) and all(
                -1 <= y <= SIZE[1] + 1 for y in numbers[1::2]
            )


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
def test_a_scale_holds_its_values_in_order(values):
    scale = fit(values, start=0, end=100)
    at = [scale.at(value) for value in sorted(values)]
    assert at == sorted(at) and at[0] >= 0 and at[-1] <= 100


@given(st.floats(1e-9, 1e9), st.floats(1.0, 1e6), st.booleans())
def test_ticks_are_few_and_inside(low, factor, log):
    scale = fit([low, low * factor], start=0, end=100, log=log)
    ticks = scale.ticks()
    assert len(ticks) + log >= 1 and len(ticks) <= 7
    assert all(scale.low * (1 - 1e-9) - 1e-12 <= tick <= scale.high * (1 + 1e-9) + 1e-12 for tick in ticks)


def test_ticks_are_round():
    assert fit([0.0, 1.0], start=0, end=1, pad=0).ticks() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert fit([3.0, 47.0], start=0, end=1, pad=0).ticks() == [10.0, 20.0, 30.0, 40.0]
    assert fit([1e-3, 1e3], start=0, end=1, log=True, pad=0).ticks(7) == pytest.approx(
        [10.0**p for p in range(-3, 4)]
    )


def test_many_decades_are_drawn_by_logarithm():
    assert wants_log([0.01, 1.0]) and not wants_log([0.5, 1.0]) and not wants_log([0.0, 1e9])


def test_a_gap_is_not_bridged_and_is_marked():
    text = chart(Chart(lines=(Line(steps=range(50), values=[1.0] * 20 + [math.nan] + [2.0] * 29),)))
    assert len(re.findall(r'<path class="l0"', text)) == 2
    assert text.count("NaN or infinite") == 2


def test_a_threshold_far_away_is_told_at_the_edge():
    text = chart(Chart(lines=(Line(steps=[0, 1], values=[1.0, 1.1]),), threshold=-50.0))
    assert "limit -50 ↓" in text and 'class="limit"' not in text


def test_titles_are_escaped():
    assert "&lt;b&gt;" in chart(Chart(lines=(Line(steps=[0], values=[1.0]),), title="<b>"))


def test_a_small_curve_needs_two_values():
    assert spark([1.0, math.nan]) == "" and "<path" in spark([1.0, 2.0, math.nan, 3.0])


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=MOST_BUCKETS + 1, max_size=900))
@settings(max_examples=30, deadline=None)
def test_reducing_keeps_extremes_and_gaps(values):
    line = reduced(np.arange(len(values)), np.array(values))
    assert len(line.steps) == MOST_BUCKETS
    finite = [value for value in values if not math.isnan(value)]
    if finite:
        assert min(v for v in line.low if not math.isnan(v)) == min(finite)
        assert max(v for v in line.high if not math.isnan(v)) == max(finite)
    assert any(math.isnan(v) for v in line.values) == (len(finite) < len(values))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.53121, "0.5312"), (1094.0, "1,094"), (0.000023, "2.3e-5"), (math.nan, "NaN"), (-math.inf, "−∞"),
     (0, "0"), (123456.7, "123,457"), (1e12, "1e12"), (100.0, "100"), (-2.5, "-2.5")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_words():
    assert (
        listed(["a"]) == "a"
        and listed(["a", "b"]) == "a and b"
        and listed(list("abcde")) == "a, b and 3 more"
    )
    assert (
        sentence("the loss is NaN") == "The loss is NaN."
        and sentence("mse_loss compares") == "mse_loss compares."
    )
    assert [duration(s) for s in (0.84, 42, 185, 7440, 273600)] == [
        "0.8 s",
        "42 s",
        "3 min 5 s",
        "2 h 4 min",
        "3 d 4 h",
    ]
    assert count(1, "step") == "1 step" and count(12000, "step") == "12,000 steps"
