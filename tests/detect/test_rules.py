"""Every rule: its declaration, its cases, and that later steps never change what it said earlier."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbug.detect import Window, rules
from unbug.types import Phase, Place

RULES = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
FINAL = pytest.mark.parametrize("rule", [rule for rule in rules() if rule.final], ids=lambda rule: rule.name)
CASES = pytest.mark.parametrize(
    ("rule", "case"),
    [pytest.param(rule, case, id=f"{rule.name}: {case.label}") for rule in rules() for case in rule.cases],
)


def said(finding):
    """What must never change once said. The last step may move on while the fault lasts."""
    return finding.rule, finding.place, finding.steps[0], finding.known_at, finding.message, finding.diagnoses


@RULES
def test_is_declared_in_full(rule):
    assert rule.complaints() == []


@CASES
def test_case(rule, case):
    found = list(rule.find(case.window))
    assert bool(found) is case.fires
    if case.place:
        assert case.place in {finding.place for finding in found}
    if case.severity is not None:
        assert found[0].severity is case.severity
    if case.diagnoses is not None:
        assert found[0].diagnoses == case.diagnoses


@CASES
def test_findings_are_complete_and_bounded(rule, case):
    for finding in rule.find(case.window):
        assert finding.rule == rule.code and finding.name == rule.name
        assert finding.message and finding.advice and finding.place
        assert finding.message[0].islower() or not finding.message[0].isalpha(), "sentences join others"
        assert 0 <= finding.confidence <= 1
        assert len(finding.diagnoses) <= 3
        assert finding.steps[0] <= finding.steps[1] and finding.steps[0] <= finding.known_at
        assert finding.evidence, "a finding without evidence is an opinion"
        for piece in finding.evidence:
            assert len(piece.points) <= 200
            assert piece.points or piece.facts
            assert all(a[0] <= b[0] for a, b in zip(piece.points, piece.points[1:], strict=False))


@CASES
def test_later_steps_never_change_an_earlier_finding(rule, case):
    if rule.final:  # may take back what it said, and says it only as a note
        assert {f.severity for f in rule.find(case.window.head(case.window.steps))} <= {"note"}
        return
    whole = {said(finding) for finding in rule.find(case.window)}
    for cut in range(case.window.steps + 1):
        early = {said(finding) for finding in rule.find(case.window.head(cut))}
        assert early <= whole, cut


values = st.one_of(
    st.floats(0, 1),
    st.floats(-1e9, 1e9),
    st.sampled_from([0.0, 1.0, 1e-9, float("nan"), float("inf")]),
)


@RULES
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_numbers_are_read_without_failing_and_prefix_stable(rule, data):
    length = data.draw(st.integers(0, 60))
    shapes = {"fc1.weight": (4, 4), "fc2.weight": (2, 4), "act": ()}
    places = [
        Place(path=path, kind="parameter" if shape else "module", shape=shape, order=order,
              class_name="" if shape else "torch.nn.modules.activation.ReLU")
        for order, (path, shape) in enumerate(shapes.items())
    ]  # fmt: skip
    kinds = {
        "loss": "loss",
        "step": "loop",
        "loop": "loop",
        "optimizer": "optimizer group 0",
        "clip": "optimizer",
    }
    series = {}
    for name in rule.reads:
        paths = [kinds[name.split(".")[0]]] if name.split(".")[0] in kinds else list(shapes)
        series[name] = {p: data.draw(st.lists(values, min_size=length, max_size=length)) for p in paths}
    whole = Window.from_lists(series, places=places, ended=not rule.final or data.draw(st.booleans()))
    found = {said(finding) for finding in rule.find(whole)}
    if not rule.final:
        cut = data.draw(st.integers(0, length))
        assert {said(finding) for finding in rule.find(whole.head(cut))} <= found


@FINAL
def test_final_rules_speak_in_notes_while_the_run_lives(rule):
    for case in rule.cases:
        if case.fires:
            live = case.window.head(case.window.steps + 1)
            assert {finding.severity for finding in rule.find(live)} <= {"note"}


def test_codes_and_names_are_unique():
    assert len({rule.code for rule in rules()}) == len(rules()) == len({rule.name for rule in rules()})


def test_thresholds_are_frozen_and_explained():
    for rule in rules():
        assert rule.thresholds.__dataclass_params__.frozen
        assert all(field.metadata["why"] for field in dataclasses.fields(rule.thresholds))


def test_phases_are_kept_apart():
    window = Window.from_lists(
        {"loss.value": {"loss": [1.0, 2.0]}}, evaluation={"loss.value": {"loss": {1: 9.0}}}
    )
    assert window.read("loss.value")[0].values.tolist() == [1.0, 2.0]
    assert window.read("loss.value", phase=Phase.EVAL)[0].values.tolist() == [9.0]
