"""The measurement of rules: what is run again, how figures are made, what is shown of which half."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import faults_full
from tools.full.figures import calibration, calibration_error, early, figures, per_class, per_rule, wilson
from tools.full.judged import Alert, Judged, judge, scorer
from tools.full.programs import Case, gather, tree_hash
from tools.full.recorded import changes, measured, rates
from tools.full.running import Outcome, Results, differing, run_all
from tools.full.shown import page

FAULTS = Path(__file__).parents[2] / "faults"


def alert(
    *,
    classes=("dead-relu",),
    right=True,
    confidence=0.9,
    known_at=0,
    begins=0,
    severity="warning",
    rule="A101",
):
    return Alert(
        rule=rule, severity=severity, classes=classes, confidence=confidence, known_at=known_at,
        begins=begins, steps=101, explained=False, right=right,
    )  # fmt: skip


def judged(*alerts, name="p", healthy=False, fault="dead-relu", half="dev", group="generated"):
    rank = next((at for at, one in enumerate(alerts, 1) if one.right), None)
    return Judged(
        name=name, set=group, half=half, healthy=healthy, fault="" if healthy else fault, alerts=alerts,
        rank=rank, exact=rank, located=bool(rank), has_report=True, diagnose_s=0.1,
    )  # fmt: skip


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_interval_is_that_of_the_corpus_scorer(count, more):
    if not count + more:
        return
    low, high = scorer(FAULTS / "score.py").wilson(count, count + more)
    assert wilson(count, count + more) == pytest.approx((low, high))
    assert low - 1e-12 <= count / (count + more) <= high + 1e-12


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_the_mean_gap_over_alerts(stated):
    programs = [judged(alert(confidence=c, right=r)) for c, r in stated]
    table = calibration(programs)
    assert sum(row["count"] for row in table) == len(stated)
    assert sum(row["right"] for row in table) == sum(right for _, right in stated)
    by_bin = {}
    for confidence, right in stated:
        by_bin.setdefault(min(int(confidence * 10), 9), []).append((confidence, right))
    gaps = [abs(sum(c for c, _ in b) - sum(r for _, r in b)) for b in by_bin.values()]
    assert calibration_error(table) == pytest.approx(sum(gaps) / len(stated), abs=2e-4)


def test_only_the_first_alert_of_a_program_counts_for_calibration():
    sure_and_wrong = judged(alert(right=False, confidence=0.95), alert(right=True, confidence=0.15))
    assert calibration([sure_and_wrong, judged()]) == [
        {"low": 0.9, "high": 1.0, "count": 1, "right": 0, "confidence": 0.95}
    ]
    assert calibration_error(calibration([sure_and_wrong])) == 0.95
    assert calibration_error([]) is None


def test_figures_count_what_the_bars_ask_for():
    group = [
        judged(alert()),
        judged(alert(right=False, classes=("lr-too-high", "bad-init")), alert()),
        judged(),
        judged(alert(right=False, severity="error"), healthy=True),
        judged(healthy=True),
    ]
    told = figures(group)
    assert told["detection"] == [2, 3] and told["top1"] == [1, 3] and told["top3"] == [2, 3]
    assert told["false_alarms"] == [1, 2] and told["false_errors"] == [1, 2]
    assert told["alerts_faulty"] == 1.0 and told["classes_first"] == 1.5


def test_early_is_told_as_a_share_of_the_steps_and_in_steps_after_the_fault_began():
    group = [
        judged(alert(known_at=10), fault="missing-zero-grad"),
        judged(alert(known_at=53, begins=50), fault="nonfinite-data"),
        judged(alert(known_at=54, begins=50), fault="nonfinite-data"),
        judged(alert(right=False)),
    ]
    told = early(group)
    assert told["share"] == 0.53 and told["of"] == 3
    assert told["soon"] == {"not finite": [1, 2], "wiring": [0, 1]}


def test_rates_are_given_for_classes_with_enough_programs_and_for_every_rule():
    group = [judged(alert(), name=f"s{i}") for i in range(10)] + [judged(fault="wrong-loss")] * 9
    assert set(per_class(group)) == {"dead-relu"}
    well = [judged(alert(right=False), healthy=True), *[judged(healthy=True)] * 99]
    assert per_rule(well, ["A101", "T101"]) == {
        "A101": {"alarms": 1, "runs": 100, "wilson_high": round(wilson(1, 100)[1], 4)},
        "T101": {"alarms": 0, "runs": 100, "wilson_high": round(wilson(0, 100)[1], 4)},
    }


def test_the_joined_verdicts_are_those_of_the_scorer(tmp_path):
    reports = {
        "right": [("T101", ["missing-zero-grad"], 8), ("O101", ["lr-too-high"], 3)],
        "second": [("O101", ["lr-too-high"], 3), ("T101", ["missing-zero-grad"], 30)],
        "silent": [],
        "well": [("O101", ["lr-too-high"], 3)],
    }
    cases, outcomes = [], {}
    for name, found in reports.items():
        facts = {"file": f"{name}.py", "healthy": name == "well", "fault": "missing-zero-grad", "lines": [9]}
        if facts["healthy"]:
            del facts["fault"]
        cases.append(Case(name=name, set="corpus", half="dev", script=tmp_path / f"{name}.py", facts=facts))
        findings = [
            {"rule": rule, "name": rule, "severity": "error", "diagnoses": classes, "confidence": 0.5,
             "known_at": 4, "steps": [2, 9], "training": 0, "source": {"line": line}, "place": "loop"}
            for rule, classes, line in found
        ]  # fmt: skip
        report = {"coverage": {"trainings": [{"number": 0, "steps": 40}]}, "findings": findings}
        outcomes[name] = Outcome(
            name=name, program="", tree="", report=report, exit_code=0, run_s=1.0, diagnose_s=1.0
        )
    told = {one.name: one for one in judge(cases, outcomes, FAULTS)}
    assert [told[name].rank for name in reports] == [1, 2, None, None]
    assert told["right"].located and not told["second"].located
    assert [one.right for one in told["second"].alerts] == [False, True]
    assert told["right"].alerts[0].steps == 40 and told["right"].alerts[0].begins == 2


class Written:
    """An `unbug` that writes a run and a report without training."""

    def __init__(self):
        self.ran, self.closed, self._lock = [], False, threading.Lock()

    def call(self, argv, *, cwd, out, err, limit_s):
        if argv[0] == "run":
            with self._lock:
                self.ran.append(argv[argv.index("--name") + 1])
            (cwd / "runs" / self.ran[-1]).mkdir(parents=True)
        else:
            out.write_text(json.dumps({"coverage": {"trainings": [], "faults": []}, "findings": []}))
        return 0, 0.01

    def close(self):
        self.closed = True


def cases_in(folder: Path, count: int = 5) -> list[Case]:
    made = []
    for at in range(count):
        script = folder / f"program{at}.py"
        script.write_text(f"print({at})\n")
        facts = {"file": script.name, "healthy": True}
        made.append(Case(name=script.stem, set="healthy", half="dev", script=script, facts=facts))
    return made


def run(cases, results, tmp_path, *, tree="t", told=lambda case, outcome: None, **options):
    unbug = Written()
    settings = {"keep": None, "again": False} | options
    run_all(cases, unbug, results, work=tmp_path / "work", tree=tree, workers=1, told=told, **settings)
    return unbug


def test_an_interrupted_measurement_goes_on_where_it_was_and_leaves_nothing(tmp_path):
    cases, results, seen = cases_in(tmp_path), Results(tmp_path / "results"), []

    def interrupt(case, outcome):
        seen.append(case.name)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cases, results, tmp_path, told=interrupt)
    assert not (tmp_path / "work").exists()
    left = results.missing(cases, "t")
    assert {case.name for case in left} == {case.name for case in cases} - set(seen)
    again = run(left, results, tmp_path)
    assert set(again.ran) == {case.name for case in left} and again.closed
    assert not results.missing(cases, "t")


def test_what_changed_is_run_again(tmp_path):
    cases, results = cases_in(tmp_path), Results(tmp_path / "results")
    run(cases, results, tmp_path)
    assert results.missing(cases, "another unbug") == cases
    cases[2].script.write_text("print('changed')\n")
    assert results.missing(cases, "t") == [cases[2]]
    (tmp_path / "results" / "program0.json").write_text("{cut off")
    assert results.missing(cases, "t") == [cases[0], cases[2]]


def test_again_diagnoses_what_was_kept_and_runs_the_rest(tmp_path):
    cases, results = cases_in(tmp_path), Results(tmp_path / "results")
    run(cases[:3], results, tmp_path, keep=tmp_path / "runs")
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"program0", "program1", "program2"}
    again = run(cases, results, tmp_path, keep=tmp_path / "runs", again=True)
    assert set(again.ran) == {"program3", "program4"}


def test_two_measurements_are_compared_by_what_was_said_and_not_by_where_it_was_run(tmp_path):
    def outcome(name, **facts):
        found = {"rule": "A101", "severity": "note", "place": "0", "steps": [0, 1], "known_at": 1}
        found |= {"message": "m", "confidence": 0.5, "source": {"file": "a", "line": 3}} | facts
        report = {"coverage": {}, "findings": [found]}
        return Outcome(name=name, program="", tree="", report=report, exit_code=0, run_s=1, diagnose_s=1)

    one, other = Results(tmp_path / "one"), Results(tmp_path / "other")
    for results, file in ((one, "a"), (other, "b")):
        results.put(outcome("same", source={"file": file, "line": 3}))
        results.put(outcome("other line", source={"file": "a", "line": 4 if file == "b" else 3}))
        results.put(outcome("other words", message=file))
    one.put(outcome("alone"))
    names = ["same", "other line", "other words", "alone", "never run"]
    assert differing(names, one, other) == (3, ["other line", "other words"])


def test_the_hash_of_the_package_is_of_what_decides_and_not_of_what_was_measured(tmp_path):
    (tmp_path / "rule.py").write_text("a")
    before = tree_hash(tmp_path)
    (tmp_path / "rates.json").write_text("{}")
    assert tree_hash(tmp_path) == before
    (tmp_path / "rule.py").write_text("b")
    assert tree_hash(tmp_path) != before


def test_changes_are_told_for_groups_that_were_measured_before():
    def of(count):
        programs = [judged(alert(), name=f"{i}") for i in range(count)] + [judged()] * (10 - count)
        return measured(programs, date="2026-01-01", version="1", tree="t")

    moved = changes(of(7), of(5))
    assert moved["dev"]["top1"] == pytest.approx(0.2)
    assert "false_alarms" not in moved["dev"] and "held" not in moved
    assert changes(of(5), of(5)) == {name: {} for name in of(5)["groups"]}
    assert changes(of(5), {}) == {}


def test_what_is_recorded_names_no_program_and_the_page_shows_its_numbers():
    rng = random.Random(0)
    programs = []
    for at in range(60):
        half = "dev" if at % 2 else "held"
        found = [alert(right=rng.random() < 0.8, confidence=0.75)] if rng.random() < 0.9 else []
        programs.append(judged(*found, name=f"secret{at}", half=half))
        programs.append(judged(name=f"hidden{at}", half=half, healthy=True, group="healthy"))
    now = measured(programs, date="2026-01-01", version="1.2", tree="t")
    table = rates(programs, ["A101", "T101"], date="2026-01-01", version="1.2")
    text = page(now, table)
    for told in (json.dumps(now), json.dumps(table), text):
        assert "secret" not in told and "hidden" not in told
    k, n = now["groups"]["held"]["top1"]
    assert f"{k / n:.1%}" in text and "1.2" in text and "30 / 30" in text
    tool = {"version": "3.1", "detection": [3, 12], "false_alarms": [2, 8], "alerts": 1.5, "failed": 1}
    peers = {"tools": {"some-linter": tool}, "not_applied": {"other": "it needs a service"}}
    assert "Beside" not in text and page(now, table, peers).startswith(text.rstrip())
    assert "| some-linter 3.1 | 3/12 (9%–53%) | 2/8 (7%–59%) | 1.5 | 1 |" in page(now, table, peers)
    assert table["healthy_runs"] == 60 and set(table["rules"]) == {"A101", "T101"}
    assert {"low", "high", "count", "right"} == set(table["confidence"][0])


def test_the_command_prints_single_programs_of_the_dev_half_only(tmp_path, monkeypatch, capsys):
    class Loud(Written):
        def call(self, argv, *, cwd, out, err, limit_s):
            done = super().call(argv, cwd=cwd, out=out, err=err, limit_s=limit_s)
            if argv[0] == "diagnose":
                found = {"rule": "X101", "name": "x", "severity": "warning", "diagnoses": ["lr-too-high"],
                         "confidence": 0.4, "known_at": 1, "steps": [0, 2], "training": 0}  # fmt: skip
                out.write_text(json.dumps({"coverage": {"trainings": [], "faults": []}, "findings": [found]}))
            return done

    monkeypatch.setattr(faults_full, "Processes", Loud)
    options = ["--sets", "healthy", "--only", "three_steps", "skipgram", "--folder", str(tmp_path)]
    assert faults_full.main(options) == 0
    told = capsys.readouterr().out
    assert "three_steps_sgd: X101 (lr-too-high)" in told and "skipgram" not in told
    assert not (tmp_path / "work").exists()
    assert faults_full.main([*options, "--show-held"]) == 0
    told = capsys.readouterr().out
    assert "0 to run" in told and "skipgram" in told


def test_the_programs_of_all_sets_have_names_of_their_own(tmp_path):
    cases = gather(FAULTS, tmp_path / "programs")
    assert len({case.name for case in cases}) == len(cases)
    assert {case.set for case in cases} >= {"corpus", "healthy"}
    assert all(case.script.exists() for case in cases)
