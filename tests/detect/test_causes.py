"""What brings about what, and that one fault is one alert."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.detect import classes, rules
from unbug.detect.causes import CAUSES, SYMPTOMS
from unbug.detect.chains import link
from unbug.detect.engine import told
from unbug.types import Finding, Severity, chinese


def found(name: str, *classes: str, severity: Severity = Severity.WARNING, **fields) -> Finding:
    training = fields.get("training", 0)
    options = {
        "id": f"{name}-{training}", "rule": name[:4].upper(), "place": "fc", "places": ("fc",),
        "message": "m", "advice": "a", "steps": (0, 9), "known_at": 5, "fingerprint": name,
    } | fields  # fmt: skip
    return Finding(name=name, severity=severity, diagnoses=classes, **options)


def by_name(findings):
    return {(one.name if one.training == 0 else f"{one.name}-{one.training}"): one for one in findings}


def test_the_table_speaks_of_classes_and_symptoms_and_leads_nowhere_back():
    known = set(classes()) | SYMPTOMS
    assert set(CAUSES) | {effect for effects in CAUSES.values() for effect in effects} <= known
    list(TopologicalSorter({cause: set(effects) for cause, effects in CAUSES.items()}).static_order())


def test_every_symptom_is_a_rule():
    assert {str(rule.name) for rule in rules()} >= SYMPTOMS


def test_a_chain_is_one_alert_as_bad_as_its_worst_effect():
    chain = [
        found("non-finite-loss", "numeric-unsafe-op", severity=Severity.ERROR, known_at=8),
        found("learning-rate-too-high", "lr-too-high", known_at=3),
        found("dead-relu", "dead-relu", known_at=7),
    ]
    said = by_name(told(chain))
    root = said["learning-rate-too-high"]
    assert root.severity is Severity.ERROR and root.caused_by == ()
    assert set(root.causes) == {"non-finite-loss-0", "dead-relu-0"}
    assert {one.severity for one in said.values() if one is not root} == {Severity.NOTE}


def test_what_grows_explains_nothing_before_it_came():
    late = found("learning-rate-too-high", "lr-too-high", steps=(50, 90), known_at=60)
    early = found("dead-relu", "dead-relu", known_at=5)
    assert [one.is_alert for one in told([late, early])] == [True, True]


def test_what_is_in_the_program_explains_what_was_seen_before_it():
    late = found("train-test-skew", "train-test-skew", steps=(99, 99), known_at=99)
    early = found("overfitting", "overfitting", known_at=40)
    assert by_name(told([late, early]))["overfitting"].caused_by == ("train-test-skew-0",)


def test_a_note_explains_nothing_and_neither_does_another_training():
    note = found("learning-rate-too-high", "lr-too-high", severity=Severity.NOTE)
    other = found("learning-rate-too-high", "lr-too-high", training=1)
    effect = found("dead-relu", "dead-relu")
    assert by_name(told([note, effect]))["dead-relu"].is_alert
    assert by_name(told([other, effect]))["dead-relu"].is_alert


def test_a_rule_may_say_itself_what_it_explains():
    cause, effect = found("odd-fault", "tied-weights-broken"), found("dead-relu", "dead-relu")
    assert by_name(told([cause, effect]))["dead-relu"].is_alert
    linked = by_name(link([cause, effect], {"ODD-": ("dead-relu",)}))
    assert linked["dead-relu"].caused_by == ("odd-fault-0",)


def test_two_that_explain_each_other_are_told_by_the_surer():
    one = found("a-fault", "tied-weights-broken", confidence=0.6)
    other = found("b-fault", "ema-not-updated", confidence=0.9)
    linked = by_name(link([one, other], {"A-FA": ("b-fault",), "B-FA": ("a-fault",)}))
    assert linked["a-fault"].caused_by == ("b-fault-0",) and linked["b-fault"].caused_by == ()


def test_rules_that_name_one_class_are_one_alert_with_the_places_of_both():
    unsure = found("slow-loss", "lr-too-low", "underfitting", confidence=0.9, place="loss", places=("loss",))
    sure = found("learning-rate-too-low", "lr-too-low", confidence=0.7, place="fc", places=("fc",))
    more = found("small-updates", "lr-too-low", confidence=0.5, place="head", places=("head", "optimizer"))
    said = by_name(told([unsure, sure, more]))
    assert said["learning-rate-too-low"].places == ("fc", "head")
    assert {one.same_as for one in said.values() if not one.is_alert} == {"learning-rate-too-low-0"}


def test_an_effect_that_names_one_class_narrows_its_cause():
    cause = found("non-finite-gradient", "numeric-unsafe-op", "low-precision")
    effect = found("non-finite-loss", "numeric-unsafe-op", known_at=6)
    unsure = found("non-finite-weight", "exploding-gradient", "low-precision", known_at=7)
    assert by_name(told([cause, effect, unsure]))["non-finite-gradient"].diagnoses == ("numeric-unsafe-op",)


def test_one_rule_that_names_two_lines_is_two_alerts():
    one = found("broadcasting-loss", "loss-broadcast")
    other = found("broadcasting-loss", "loss-broadcast", id="broadcasting-loss-0-2", fingerprint="other")
    assert [finding.is_alert for finding in told([one, other])] == [True, True]


def test_of_two_that_cannot_both_hold_the_surer_stays():
    high = found("learning-rate-too-high", "lr-too-high", confidence=0.9)
    low = found("learning-rate-too-low", "lr-too-low", confidence=0.7)
    said = by_name(told([low, high]))
    assert said["learning-rate-too-high"].is_alert
    lost = said["learning-rate-too-low"]
    assert (
        lost.severity is Severity.NOTE
        and "speaks against it" in lost.message
        and "矛盾" in chinese(lost.message)
    )


def test_at_other_times_both_may_hold():
    high = found("learning-rate-too-high", "lr-too-high", steps=(0, 9))
    low = found("learning-rate-too-low", "lr-too-low", steps=(50, 90), known_at=80)
    assert [one.is_alert for one in told([high, low])] == [True, True]


def test_one_fault_in_all_folds_is_one_alert():
    folds = [found("dead-relu", "dead-relu", training=n) for n in range(5)]
    said = told(folds)
    assert [one.is_alert for one in said] == [True, False, False, False, False]
    assert {one.same_as for one in said[1:]} == {"dead-relu-0"}


def test_what_is_accepted_neither_explains_nor_is_explained():
    accepted = found("learning-rate-too-high", "lr-too-high", state="suppressed")
    effect = found("dead-relu", "dead-relu")
    said = by_name(told([accepted, effect]))
    assert said["dead-relu"].is_alert and said["learning-rate-too-high"].severity is Severity.WARNING


anything = st.builds(
    lambda number, name, kind, severity, training, sure, since: found(
        name, kind, severity=severity, training=training, confidence=sure, steps=(since, since + 5),
        known_at=since + 3, id=f"X-{number}", fingerprint=f"{number}",
    ),
    st.integers(0, 10**6),
    st.sampled_from([*sorted(SYMPTOMS), "a-fault", "b-fault"]),
    st.sampled_from(sorted(classes())),
    st.sampled_from(list(Severity)),
    st.integers(0, 1),
    st.floats(0, 1),
    st.integers(0, 20),
)  # fmt: skip


@given(st.lists(anything, max_size=12, unique_by=lambda one: one.id))
def test_whatever_is_found_some_alert_of_each_training_stays_and_links_lead_nowhere_back(findings):
    said = told(findings)
    assert {one.id for one in said} == {one.id for one in findings}
    for training in (0, 1):
        before = [one for one in findings if one.training == training and one.is_alert]
        after = [one for one in said if one.training == training and one.is_alert]
        assert bool(before) == bool(after)
        worst = [min((one.severity.rank for one in part), default=None) for part in (before, after)]
        assert worst[0] == worst[1] or any("speaks against" in one.message for one in said)
    TopologicalSorter({one.id: one.caused_by for one in said}).prepare()
    effects = {(c, one.id) for one in said for c in one.caused_by}
    assert effects == {(one.id, e) for one in said for e in one.causes}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.code)
def test_what_a_rule_says_it_explains_exists(rule):
    assert set(rule.explains) <= set(classes()) | {str(one.name) for one in rules()}
