"""`unbug rules` and `unbug rule CODE`."""

from __future__ import annotations

import json

import pytest

from unbug.cli.commands import rule as rule_page
from unbug.cli.commands import rules as rules_table
from unbug.cli.main import main
from unbug.detect import rules
from unbug.detect.rates import rate

MEASURED = {
    "date": "2026-11-23",
    "version": "0.3",
    "healthy_runs": 207,
    "rules": {"T101": {"alarms": 2, "runs": 207, "wilson_high": 0.0346}, "A101": {"alarms": 0, "runs": 0}},
}


def test_a_rate_is_what_was_measured():
    found = rate("T101", MEASURED)
    assert (found.alarms, found.runs, found.date) == (2, 207, "2026-11-23")
    assert found.share == pytest.approx(2 / 207)
    assert rate("A101", MEASURED) is None and rate("O101", MEASURED) is None and rate("T101", {}) is None
    assert rules_table.in_short(found) == "2/207" and rules_table.in_short(None) == "-"
    assert rule_page.in_words(found) == (
        "2 of 207 healthy programs (1.0%, at most 3.5% with 95 % confidence; 2026-11-23, unbug 0.3)"
    )
    assert rule_page.in_words(None) == "not measured"


def test_the_table_has_every_rule_with_its_classes(capsys):
    assert main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ["CODE", "SEVERITY", "FALSE", "NAME", "CLASSES"]
    assert len(lines) == len(rules()) + 3
    assert any("softmax-before-ce " in line and line.startswith("L101") for line in lines)


def test_the_table_in_chinese_and_for_programs(capsys):
    assert main(["rules", "--lang", "zh"]) == 0
    assert "缺少 zero_grad" in capsys.readouterr().out
    assert main(["rules", "--json"]) == 0
    told = {one["code"]: one for one in json.loads(capsys.readouterr().out)}
    assert told["T101"]["name_zh"] == "缺少 zero_grad" and "false_alarms" in told["T101"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page_has_an_example_of_what_the_rule_says(capsys, lang):
    assert main(["rule", "T101", "--lang", lang]) == 0
    text = capsys.readouterr().out
    wanted = {"en": "Call optimizer.zero_grad() before backward", "zh": "每一步在 backward 之前调用"}
    assert wanted[lang] in text and "ignore[T101] reason" in text and "False alarms" in text


@pytest.mark.parametrize("one", rules(), ids=lambda one: one.code)
def test_every_rule_has_an_example(one):
    assert one.example is not None and one.example.message
