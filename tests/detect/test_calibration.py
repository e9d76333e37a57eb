"""How sure a finding is: from counts, little trusted where they are few."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.calibrate import counted
from tools.full.programs import Case
from unbug.detect.calibration import STRENGTH, calibrated, margin, margin_kind
from unbug.types import Evidence, Finding, Severity


def found(*values, threshold=1.0, above=True, confidence=0.9, rule="G104"):
    points = tuple(enumerate(values))
    evidence = (Evidence(threshold=threshold, above=above, points=points),) if values else ()
    return Finding(
        rule=rule, name="x", severity=Severity.WARNING, place="p", message="m", advice="a",
        confidence=confidence, evidence=evidence,
    )  # fmt: skip


def test_the_margin_is_how_far_past_its_threshold_the_worst_value_is():
    assert margin(found(0.5, 2.0)) == 2.0
    assert margin(found(0.5, 0.02, threshold=0.1, above=False)) == pytest.approx(5)
    assert margin(found(math.nan, math.inf, 4.0)) == 4.0
    assert margin(found()) is None and margin(found(1.0, threshold=None)) is None
    assert [margin_kind(one) for one in (found(), found(2.9), found(3.0))] == ["plain", "near", "far"]


def test_without_counts_a_rule_is_as_sure_as_its_author():
    assert calibrated(found(), {}).confidence == 0.9
    assert calibrated(found(rule="acme-A1"), {"scale": 0.5}).confidence == 0.9
    assert calibrated(found(), {"scale": 0.5}).confidence == pytest.approx(0.45)


def test_counts_move_it_as_much_as_they_weigh():
    once = calibrated(found(), {"rules": {"G104": {"right": 0, "stated": 1}}}).confidence
    often = calibrated(found(), {"rules": {"G104": {"right": 0, "stated": 100}}}).confidence
    assert once == pytest.approx(STRENGTH * 0.9 / (STRENGTH + 1))
    assert often < 0.1


def test_a_margin_has_counts_of_its_own():
    counts = {
        "rules": {
            "G104": {
                "right": 50,
                "stated": 100,
                "margins": {"far": {"right": 50, "stated": 50}, "near": {"right": 0, "stated": 50}},
            }
        }
    }
    near, far, plain = (calibrated(one, counts).confidence for one in (found(2.0), found(9.0), found()))
    assert near < 0.1 < 0.9 < far and near < plain < far


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 1), st.lists(st.floats(-1e9, 1e9), max_size=5))
def test_it_is_a_probability_whatever_was_counted(right, wrong, stated, values):
    counts = {"rules": {"G104": {"right": right, "stated": right + wrong}}, "scale": 0.9}
    told = calibrated(dataclasses.replace(found(*values), confidence=stated), counts).confidence
    assert 0 < told < 1


def case(name, healthy=False, **facts):
    return Case(name=name, set="generated", half="dev", script=None, facts={"healthy": healthy, **facts})


def told(rule, *classes, severity="error", **fields):
    return {
        "rule": rule, "name": "x", "severity": severity, "diagnoses": list(classes), "state": "open",
        "evidence": [{"threshold": 1.0, "above": True, "points": [[0, 9.0], [1, "NaN"]]}],
    } | fields  # fmt: skip


def test_alerts_are_counted_by_what_the_manifest_says():
    reports = [
        (
            case("a", fault="lr-too-high"),
            {"findings": [told("O101", "lr-too-high"), told("A101", "dead-relu")]},
        ),
        (case("b", fault="bad-init", accept=["dead-relu"]), {"findings": [told("A101", "dead-relu")]}),
        (case("c", healthy=True), {"findings": [told("A101", "dead-relu"), told("O1", severity="note")]}),
        (case("d", healthy=True), {"findings": [told("A101", "dead-relu", state="suppressed")]}),
    ]
    counts = counted(reports, {"O101": 0.9, "A101": 0.8}, date="2026-01-01")
    assert counts["programs"] == 4 and counts["alerts"] == 4
    assert counts["rules"]["O101"] == {"right": 1, "stated": 1, "margins": {"far": {"right": 1, "stated": 1}}}
    assert (counts["rules"]["A101"]["right"], counts["rules"]["A101"]["stated"]) == (1, 3)
    assert counts["scale"] == pytest.approx((2 + STRENGTH) / (0.9 + 3 * 0.8 + STRENGTH), abs=1e-4)
