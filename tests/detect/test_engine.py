"""Diagnosing a whole run: windows, merging, causes, order, rules that fail."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.detect.memory_reader import MemoryReader
from unbug.detect import RuleSettings, Window, diagnose, rule, rules
from unbug.detect.discovery import load
from unbug.detect.engine import examine
from unbug.detect.merge import merge
from unbug.detect.order import first_to_fix
from unbug.detect.recorded import windows
from unbug.detect.sources import locate
from unbug.errors import SettingError, UnknownRuleError
from unbug.numerics import derive
from unbug.types import (
    STORED_STATISTICS,
    Event,
    Finding,
    Phase,
    Place,
    Series,
    Severity,
    Source,
    Training,
    chinese,
)

LOSS = Place(path="loss", kind="loss", training=0)
LOOP = Place(path="loop", kind="loop", training=0)


def broken_run(**options) -> MemoryReader:
    reader = MemoryReader(trainings=[Training(number=0, steps=40, ended=True)], **options)
    reader.add(Series(name="loss.value", place=LOSS), [1.0] * 20 + [float("nan")] * 20)
    reader.add(Series(name="loop.stale_gradient", place=LOOP), [0.0] + [1.0] * 39)
    return reader


def test_a_run_is_diagnosed_with_ids_sources_and_fingerprints():
    source = Event(kind="source", fields={"file": "train.py", "text": "a\nb\n  loss.backward()\n"})
    order = Event(
        kind="loop_order", training=0, step=0, fields={"order": "FBS", "file": "train.py", "line": 3}
    )
    diagnosis = diagnose(broken_run(events=[source, order]))
    by_rule = {finding.rule: finding for finding in diagnosis.findings}
    assert {"T101", "N101"} <= set(by_rule)
    assert by_rule["T101"].id == "T101-0"
    assert (by_rule["T101"].source.line, by_rule["T101"].source.text) == (3, "loss.backward()")
    assert len({finding.fingerprint for finding in diagnosis.findings}) == len(diagnosis.findings)
    assert diagnosis.faults == () and diagnosis.rules == tuple(one.code for one in rules())


def test_fingerprints_carry_over_between_runs():
    one, other = diagnose(broken_run()), diagnose(broken_run())
    assert [f.fingerprint for f in one.findings] == [f.fingerprint for f in other.findings]


def test_a_failing_rule_is_told_and_the_others_go_on():
    def fail(window, at):
        raise ZeroDivisionError("on purpose")

    bad = dataclasses.replace(rule("N101"), function=fail, code="N999")
    window = broken_run()
    found, faults = examine(windows(window)[0], [bad, rule("T101")])
    assert [finding.rule for finding in found] == ["T101"]
    assert [(fault.rule, fault.error) for fault in faults] == [("N999", "ZeroDivisionError: on purpose")]


def test_each_training_is_seen_alone():
    reader = MemoryReader(trainings=[Training(number=n, steps=4, ended=True) for n in (0, 1)])
    for training, values in enumerate(([1.0, 0.5, 0.4, 0.3], [1.0, 0.5, float("inf"), 0.3])):
        place = dataclasses.replace(LOSS, training=training)
        reader.add(Series(name="loss.value", place=place), values, training=training)
    assert [finding.id for finding in diagnose(reader).findings] == ["N101-1"]
    assert diagnose(reader, only_training=0).findings == ()


def test_a_folded_training_is_left_out():
    folded = [Training(number=0, steps=4, ended=True), Training(number=1, steps=2, ended=True, same_as=0)]
    assert [w.training.number for w in windows(MemoryReader(trainings=folded))] == [0]


def test_a_run_without_training_has_one_window():
    assert [(w.training.number, w.ended) for w in windows(MemoryReader(trainings=[]))] == [(-1, True)]


def test_windows_of_a_living_run_have_not_ended():
    trainings = [Training(number=0, steps=4, ended=True), Training(number=1, steps=2, ended=False)]
    assert [w.ended for w in windows(MemoryReader(trainings=trainings), live=True)] == [True, False]
    assert [w.ended for w in windows(MemoryReader(trainings=trainings))] == [True, True]


def test_derived_statistics_are_computed_from_the_stored_ones():
    rng = np.random.default_rng(0)
    tensors = rng.normal(size=(5, 30))
    tensors[2, :10] = 0
    place = Place(path="fc.weight", kind="parameter", training=0, shape=(5, 6))
    stored = {
        "count": [30.0] * 5, "mean": tensors.mean(1), "m2": tensors.var(1) * 30, "min": tensors.min(1),
        "max": tensors.max(1), "zeros": (tensors == 0).sum(1), "nans": [0.0] * 5, "infs": [0.0] * 5,
        "saturated": [np.nan] * 5,
    }  # fmt: skip
    assert set(stored) == set(STORED_STATISTICS)
    reader = MemoryReader()
    for name, numbers in stored.items():
        reader.add(Series(name=f"weight.{name}", place=place), list(map(float, numbers)))
    (window,) = windows(reader)
    (l2,), (zeros,) = window.read("weight.l2"), window.read("weight.zero_share")
    assert l2.values == pytest.approx(np.linalg.norm(tensors, axis=1))
    assert zeros.values == pytest.approx((tensors == 0).mean(1))
    assert l2.place == "fc.weight" and l2.steps.tolist() == [0, 1, 2, 3, 4]
    assert derive("absmax", {k: np.asarray(v) for k, v in stored.items()}) == pytest.approx(
        np.abs(tensors).max(1)
    )


def test_rows_of_other_ranks_and_of_undone_attempts_are_left_out():
    reader = MemoryReader()
    series = reader.add(Series(name="loss.value", place=LOSS), [1.0, 2.0, 3.0, 4.0])
    reader.add(series, {2: 30.0, 3: 40.0}, attempt=1)
    reader.add(series, [9.0] * 4, rank=1)
    reader.add(series, {1: 7.0}, phase=Phase.EVAL)
    (window,) = windows(reader)
    assert window.one("loss.value").values.tolist() == [1.0, 2.0, 30.0, 40.0]
    assert window.one("loss.value", phase=Phase.EVAL).values.tolist() == [7.0]


def test_the_users_series_share_no_namespace_with_automatic_ones():
    reader = MemoryReader()
    reader.add(Series(name="loss.value", place=LOSS, origin="user"), [float("nan")] * 5)
    assert diagnose(reader).findings == ()


def finding(id_: str, severity: Severity = Severity.ERROR, **fields) -> Finding:
    options = {"rule": id_[:4], "name": "x", "place": "loss", "message": "m", "advice": "a"} | fields
    return Finding(id=id_, severity=severity, **options)


def test_one_fault_at_many_places_is_one_finding():
    stated = [
        (float(n), finding("A101", place=f"act{n}", places=(f"act{n}",), known_at=9 - n, steps=(n, n + 5)))
        for n in range(3)
    ]
    (one,) = merge(stated)
    assert one.place == "act2" and one.places == ("act2", "act1", "act0")
    assert one.message == "m; likewise at 2 other places"
    assert one.id == "A101-0" and one.known_at == 7 and one.steps == (0, 7)


def test_causes_come_before_effects_and_alerts_before_notes():
    effect = finding("T901-0", caused_by=("O101-0",), confidence=1.0)
    cause = finding("O101-0", Severity.WARNING, causes=("T901-0",), confidence=0.1)
    other = finding("M101-0", Severity.WARNING, confidence=0.99)
    note = finding("D101-0", Severity.NOTE, confidence=1.0)
    assert [f.id for f in first_to_fix([note, other, effect, cause])] == [
        "O101-0",
        "T901-0",
        "M101-0",
        "D101-0",
    ]


@given(st.lists(st.tuples(st.sampled_from(list(Severity)), st.sets(st.integers(0, 5))), max_size=6))
def test_any_graph_of_causes_is_ordered(nodes):
    made = [
        finding(f"A{n:03}-0", severity, causes=tuple(f"A{e:03}-0" for e in effects),
                caused_by=tuple(f"A{c:03}-0" for c, (_, of) in enumerate(nodes) if n in of))
        for n, (severity, effects) in enumerate(nodes)
    ]  # fmt: skip
    ordered = first_to_fix(made)
    assert sorted(f.id for f in ordered) == sorted(f.id for f in made)
    notes = [f.severity is Severity.NOTE for f in ordered]
    assert notes == sorted(notes)


def test_an_unknown_rule_names_its_neighbours():
    with pytest.raises(UnknownRuleError, match=r"no rule 'T110'; did you mean T1\d\d"):
        rule("T110")
    assert rule("t101") is rule("missing-zero-grad")


def test_thresholds_of_the_user_are_checked():
    given = RuleSettings(thresholds={"T101": {"patience": 39}})
    assert "T101" in {f.rule for f in diagnose(broken_run(), settings=given).findings}
    given = RuleSettings(thresholds={"T101": {"patience": 40}})
    assert "T101" not in {f.rule for f in diagnose(broken_run(), settings=given).findings}
    with pytest.raises(SettingError, match=r"rules\.T101\.patience.*recorded steps from 1 to 1000"):
        diagnose(broken_run(), settings=RuleSettings(thresholds={"T101": {"patience": 0}}))
    with pytest.raises(SettingError, match="T101 has patience"):
        diagnose(broken_run(), settings=RuleSettings(thresholds={"T101": {"patients": 2}}))


def test_a_rule_can_be_switched_off():
    diagnosis = diagnose(broken_run(), settings=RuleSettings(off=frozenset({"T101"})))
    assert "T101" not in {finding.rule for finding in diagnosis.findings} | set(diagnosis.rules)


PLUGIN = '''"""A loss above one.

Why it matters: it does here.
How it decides: a value above `limit`.
When it is wrong: often.
What to do: nothing.
Source: this test.
"""
from dataclasses import dataclass
from unbug.detect.contract import Finding, Severity, Window, detector, fires, silent, threshold
UNBUG_API = {version}
@dataclass(frozen=True, kw_only=True)
class Thresholds:
    limit: float = threshold(1.0, unit="nats", low=0.0, high=9.0, why="a test")
@detector("{code}", "loss-above-one", diagnoses=(), reads=("loss.value",), severity=Severity.NOTE,
          since="0.1")
def find(window: Window, at: Thresholds):
    for track in window.read("loss.value"):
        if track.values[0] > at.limit:
            seen = (track.evidence(slice(1)),)
            yield Finding(place="loss", message="above one", advice="none", evidence=seen)
CASES = (fires("above", loss__value={{"loss": [2.0]}}), silent("below", loss__value={{"loss": [1.0]}}))
'''


def plugin(tmp_path, monkeypatch, name, **options) -> EntryPoint:
    (tmp_path / f"{name}.py").write_text(PLUGIN.format(**{"version": 1, "code": "acme-A1"} | options))
    monkeypatch.syspath_prepend(str(tmp_path))
    return EntryPoint(name="acme", value=name, group="unbug.detectors")


def test_a_plugin_is_a_rule_like_ours(tmp_path, monkeypatch):
    found, skipped = load([plugin(tmp_path, monkeypatch, "acme_good")])
    theirs = found[-1]
    assert skipped == () and theirs.code == "acme-A1" and theirs.origin == "acme"
    assert len(list(theirs.find(Window.from_lists({"loss.value": {"loss": [2.0]}})))) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"version": 2}, "written for version 2 of the detector API, this is version 1"),
        ({"code": "A1"}, "lacks a prefix"),
        ({"code": "acme-1"}, "not a letter"),
        ({"version": "1/0"}, "division by zero"),
    ],
)
def test_a_broken_plugin_is_reported_and_skipped(tmp_path, monkeypatch, options, told):
    name = f"acme_bad_{abs(hash(told))}"
    found, skipped = load([plugin(tmp_path, monkeypatch, name, **options)])
    assert [one.code for one in found] == [one.code for one in rules()]
    assert len(skipped) == 1 and told in skipped[0] and "acme" in skipped[0]


def test_the_functions_keep_their_names_when_the_package_of_rules_is_loaded():
    import unbug.detect

    assert unbug.detect.rules() and callable(unbug.detect.rules) and callable(unbug.detect.rule)


def event_of(kind, *, step=0, training=0, attempt=0, rank=0, t_ns=0, **fields):
    return Event(
        kind=kind, step=step, training=training, attempt=attempt, rank=rank, t_ns=t_ns, fields=fields
    )


def test_events_of_steps_that_were_done_again_are_those_of_the_last_attempt():
    """Attempt 0 came to step 9 and was resumed at step 5; its clock had run further."""
    events = [event_of("parameters", step=step, t_ns=1000 + step, tag="first") for step in range(10)]
    events += [event_of("parameters", step=step, attempt=1, t_ns=step, tag="again") for step in range(5, 12)]
    events += [event_of("seeds", training=-1, attempt=n, tag=n) for n in (0, 1)]
    (window,) = windows(MemoryReader(events=events))
    seen = window.events("parameters")
    assert [event.step for event in seen] == list(range(12))
    assert [event.fields["tag"] for event in seen] == ["first"] * 5 + ["again"] * 7
    assert [event.fields["tag"] for event in window.events("seeds")] == [1]


def test_a_run_that_was_resumed_from_nothing_is_that_attempt():
    events = [event_of("parameters", step=step, attempt=n) for n in (0, 1) for step in range(4 - n)]
    (window,) = windows(MemoryReader(events=events))
    assert {event.attempt for event in window.events("parameters")} == {1}


def test_rows_over_a_resume_are_those_of_the_last_attempt():
    reader = MemoryReader(trainings=[Training(number=0, steps=8, ended=True)])
    loss = Series(name="loss.value", place=LOSS)
    reader.add(loss, {0: 1.0, 1: 0.9, 2: float("nan"), 3: float("nan")})
    reader.add(loss, dict.fromkeys(range(2, 8), 0.8), attempt=1)
    (window,) = windows(reader)
    assert window.one("loss.value").steps.tolist() == list(range(8))
    assert diagnose(reader).findings == (), "what was NaN was done again, and is well now"


def test_how_a_run_ended_is_told_once_and_for_the_last_attempt():
    trainings = [Training(number=n, steps=4, ended=True) for n in (0, 1)]
    memory = event_of("end", training=-1, step=-1, rank=1, reason="out-of-memory", text="oom_kill")
    again = event_of("end", training=-1, step=-1, attempt=1, reason="finished")
    found = diagnose(MemoryReader(trainings=trainings, events=[memory])).findings
    assert [finding.id for finding in found] == ["R102-1"]
    assert diagnose(MemoryReader(trainings=trainings, events=[memory, again])).findings == ()


def test_a_hang_of_another_rank_is_told_with_its_number():
    stack = ["train.py:9 in main", "/usr/lib/python3.11/site-packages/x.py:3 in recv"]
    hang = event_of("hang", step=3, rank=2, since_s=130.0, median_s=0.5, stacks={"MainThread": stack})
    (found,) = diagnose(MemoryReader(events=[hang])).findings
    assert found.message.endswith(f"; the main thread is at {stack[1]}")
    assert (found.source.file, found.source.line) == ("train.py", 9), "the program's own line, no library's"
    assert found.rule == "R101" and found.message.startswith("rank 2: no step for 130 s after step 3")


def test_a_finding_about_the_loop_points_to_where_the_optimizer_steps():
    hang = event_of("hang", step=3, since_s=130.0, median_s=0.5, stacks={})
    look = event_of("parameters", file="train.py", line=7)
    (found,) = diagnose(MemoryReader(events=[look, hang])).findings
    assert (found.source.file, found.source.line) == ("train.py", 7)


def test_the_last_healthy_checkpoint_is_named():
    """Neither one with NaN in it, nor one that failed, nor one saved after the loss was NaN."""
    reader = MemoryReader(
        events=[
            event_of("checkpoint", step=2, action="saved", path="/out/2.pt", healthy=True),
            event_of("checkpoint", step=3, action="saved", path="/out/3.pt", healthy=None),
            event_of("checkpoint", step=4, action="saved", path="/out/4.pt", healthy=False),
            event_of("checkpoint", step=4, action="saved", path="/out/full.pt", error="OSError: disk full"),
            event_of("checkpoint", step=6, action="saved", path="/out/6.pt", healthy=True),
        ]
    )
    reader.add(Series(name="loss.value", place=LOSS), [1.0] * 5 + [float("nan")])
    (found,) = diagnose(reader).findings
    assert found.advice.endswith("; the last healthy checkpoint: /out/3.pt at step 3")
    assert chinese(found.advice).endswith("；最近一个健康的检查点：/out/3.pt（第 3 步）")


SOURCE = """import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.enc: torch.nn.Module = torch.nn.Sequential(torch.nn.Linear(4, 4))
        self.dec = torch.nn.Linear(4, 1)

class Other:
    def __init__(self):
        self.out = None

plain, other = torch.nn.Linear(4, 4), None
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("enc.0.weight", 6),  # of a library's class, in a library's class: the attribute of the user's
        ("dec.weight", 7),
        ("Net", 3),
        ("out.weight", 3),  # no such attribute in the class: the class itself
        ("plain.weight", 13),
        ("unknown.weight", None),
    ],
)
def test_a_place_is_found_in_the_source(path, line):
    def told(path, kind, parent, source=None):
        return {"path": path, "kind": kind, "parent": parent, "source": source, "shape": [4, 4], "new": 1}

    places = [
        told("Net", "module", None, ["t.py", 3]),
        told("enc", "module", "Net"),
        told("enc.0", "module", "enc"),
        told("enc.0.weight", "parameter", "enc.0"),
        told("dec", "module", "Net"),
        told("dec.weight", "parameter", "dec"),
        told("out", "module", "Net"),
        told("out.weight", "parameter", "out"),
        told("plain", "module", None),
        told("plain.weight", "parameter", "plain"),
        told("unknown", "module", None),
        told("unknown.weight", "parameter", "unknown"),
        {"what": "a later version says"},
    ]
    events = [event_of("places", places=places), event_of("source", training=-1, file="t.py", text=SOURCE)]
    reader = MemoryReader(events=events)
    (window,) = windows(reader)
    finding = Finding(rule="X101", name="x", severity=Severity.NOTE, place=path, message="", advice="")
    (located,) = locate([finding], window, reader)
    assert located.source == (
        None if line is None else Source(file="t.py", line=line, text=SOURCE.splitlines()[line - 1].strip())
    )
