"""The last lines in the terminal."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.golden_files import compare
from tests.report.example import diagnosed, healthy, hostile, sick
from unbug.detect import Fault, RuleSettings, Suppression, diagnose, rule
from unbug.detect.engine import told
from unbug.report import terminal
from unbug.types import RunState, Training

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", [80, 120])
def test_findings(width):
    compare(f"terminal-{width}.txt", terminal(diagnosed(sick()), width=width) + "\n")


def test_colour_adds_nothing_but_colour():
    diagnosis = diagnosed(sick())
    coloured = terminal(diagnosis, width=80, color=True)
    assert coloured != ESCAPE.sub("", coloured) == terminal(diagnosis, width=80)
    compare("terminal-80-colour.txt", coloured + "\n")


def test_ascii_only():
    text = terminal(diagnosed(sick()), width=80, ascii_only=True)
    assert text.isascii() and "missing-zero-grad" in text
    compare("terminal-80-ascii.txt", text + "\n")


def test_nothing_found_says_what_was_looked_at():
    text = terminal(diagnosed(healthy()), width=80)
    assert "no fault found in 120 steps" in text and "rules looked at 1 series" in text
    compare("terminal-80-healthy.txt", re.sub(r"\d+ rules", "40 rules", text) + "\n")


@pytest.mark.parametrize("width", [20, 40, 61, 80, 99, 200])
@pytest.mark.parametrize("make", [sick, healthy, hostile])
def test_no_line_is_longer_than_the_terminal(make, width):
    for line in terminal(diagnosed(make()), width=width).splitlines():
        assert len(line) <= max(width, 50) or "unbug report" in line or line.startswith("run "), line


def test_hostile_names_do_not_steer_the_terminal():
    text = terminal(diagnosed(hostile()), width=100)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_no_training():
    diagnosis = dataclasses.replace(diagnosed(healthy()), trainings=(Training(number=-1),))
    assert "no training steps seen" in terminal(diagnosis)


def test_a_living_run_is_diagnosed_so_far():
    reader = healthy()
    reader.status = dataclasses.replace(reader.status, state=RunState.RUNNING)
    assert "no fault found so far" in terminal(diagnosed(reader))


def test_one_fault_in_all_trainings_is_told_once():
    diagnosis = diagnosed(sick())
    again = told(
        dataclasses.replace(
            finding,
            training=n,
            id=f"{finding.rule}-{n}",
            severity=rule(finding.rule).severity,
            caused_by=(),
            causes=(),
        )
        for n in (0, 1, 2)
        for finding in diagnosis.findings
    )
    trainings = tuple(Training(number=n, steps=120) for n in (0, 1, 2))
    text = terminal(dataclasses.replace(diagnosis, findings=tuple(again), trainings=trainings), width=100)
    assert len(re.findall(r"^✖ T101", text, flags=re.M)) == 1
    assert "in 3 of 3 trainings" in text


def test_only_the_first_alerts_are_told_in_full():
    text = terminal(diagnosed(sick()), most=1)
    assert len(re.findall(r"^[✖▲]", text, flags=re.M)) == 1
    assert re.search(r"\d more: ", text)


def test_what_is_accepted_and_what_is_wrong_with_a_suppression_is_told():
    given = RuleSettings(
        suppress=(
            Suppression(what="T101", reason="summed on purpose"),
            Suppression(what="A102", reason="x"),
        )
    )
    text = terminal(diagnose(sick(), settings=given))
    assert "· accepted: T101 missing-zero-grad (summed on purpose)" in text
    assert "· settings: nothing to ignore for A102; it can be removed" in text
    assert not re.search(r"^✖ T101", text, flags=re.M)


def test_failed_rules_are_told():
    diagnosis = dataclasses.replace(
        diagnosed(healthy()), faults=(Fault(rule="T101", training=0, error="KeyError: 'x'"),)
    )
    assert "rule T101 failed: KeyError: 'x' (the others went on)" in terminal(diagnosis)


def test_a_written_report_is_named():
    text = terminal(diagnosed(healthy()), report=Path("somewhere/report.html"))
    assert text.endswith("report somewhere/report.html")
