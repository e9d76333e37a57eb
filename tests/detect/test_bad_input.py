"""Runs as they should not be: too short, broken off, full of NaN, of no network at all, far too wide."""

from __future__ import annotations

import dataclasses
import math
import time

import pytest

from tests.detect.memory_reader import MemoryReader
from tests.detect.test_engine import PLUGIN, plugin
from unbug.detect import Window, diagnose, rule, rules
from unbug.detect.discovery import load
from unbug.detect.engine import examine
from unbug.detect.limited import Patience
from unbug.errors import StoppedError
from unbug.report import findings_json, terminal
from unbug.types import Event, Phase, Place, RunState, Series, Training

NAN = float("nan")
SINGLE = ("loss.value", "step.time_s", "step.wait_s", "loop.stale_gradient", "grad.global_norm", "clip.limit")
OF_LAYERS = ("weight", "grad", "update", "activation", "input")


def run(steps: int, make=lambda step: 1.0, *, layers: int = 2, evaluation=True, ended=True, events=()):
    """A run with every series that there may be, all with the same values."""
    reader = MemoryReader(
        trainings=[Training(number=0, steps=steps, ended=ended, optimizers=("SGD",))], events=events
    )
    values = {step: value for step in range(steps) if (value := make(step)) is not None}
    for name in SINGLE:
        kind = name.split(".")[0]
        path = kind if kind == "loss" else "loop" if kind in ("loop", "step") else "optimizer"
        reader.add(Series(name=name, place=Place(path=path, kind=path, training=0)), values)
    place = Place(path="optimizer", kind="optimizer", training=0)
    reader.add(Series(name="optimizer.lr", place=place, statistic="group 0"), values)
    for n in range(layers):
        weight = Place(path=f"{n}.weight", kind="parameter", training=0, shape=(4, 4), order=n)
        for quantity in OF_LAYERS:
            for statistic in ("count", "mean", "m2", "min", "max", "zeros", "nans", "infs", "saturated"):
                reader.add(Series(name=f"{quantity}.{statistic}", place=weight), values)
        reader.add(Series(name="update.ratio", place=weight), values)
    if evaluation:
        loss = Place(path="loss", kind="loss", training=0)
        reader.add(Series(name="call.value", place=loss), values, phase=Phase.EVAL)
    return reader


def checked(reader, **options):
    """Diagnose; no rule may fail, and every renderer must be able to show what came of it."""
    diagnosis = diagnose(reader, **options)
    assert diagnosis.faults == ()
    for language in ("en", "zh"):
        assert terminal(diagnosis, language=language)
    findings_json(reader, diagnosis)
    return diagnosis


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_run_of_few_steps(steps):
    diagnosis = checked(run(steps))
    assert all(one.known_at <= max(steps, 1) for one in diagnosis.findings)


def test_a_run_of_no_step_at_all():
    empty = MemoryReader(trainings=[Training(number=0, steps=0, ended=True)])
    assert not any(one.is_alert for one in checked(empty).findings)
    assert "no training steps seen" in terminal(diagnose(empty), language="en")


def test_a_program_that_is_no_network():
    events = [Event(kind="end", fields={"state": "finished", "reason": "finished"})]
    assert not any(one.is_alert for one in checked(MemoryReader(trainings=[], events=events)).findings)


def test_a_run_without_validation_and_one_with_gaps():
    checked(run(40, evaluation=False))
    checked(run(400, lambda step: 1.0 / (step + 1) if step % 7 == 0 else None))


@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf, 0.0, 1e308, -1e308, 5e-324])
def test_series_of_one_value_that_is_hard(value):
    checked(run(40, lambda step: value))


def test_a_run_that_crashed_in_the_middle():
    events = [
        Event(kind="crash", training=0, step=19, fields={"error": "ValueError: x", "traceback": "…"}),
        Event(kind="end", fields={"state": "failed", "exit_code": 1, "reason": "failed", "sure": True}),
    ]
    reader = run(20, lambda step: 1.0 / (step + 1), ended=False, events=events)
    reader.status = dataclasses.replace(reader.status, state=RunState.FAILED, exit_code=1)
    checked(reader)


def test_a_run_whose_events_have_no_fields():
    kinds = sorted({kind for one in rules() for kind in one.events})
    events = [Event(kind=kind, training=0, step=step, fields={}) for kind in kinds for step in (0, 3)]
    diagnosis = diagnose(run(30, events=events))
    assert diagnosis.faults == ()


def test_many_parameters_take_no_more_than_their_time():
    reader = run(3, layers=400)
    began = time.thread_time()
    checked(reader)
    assert time.thread_time() - began < 20


def test_a_slow_rule_of_others_is_cut_off_and_told(tmp_path, monkeypatch):
    text = PLUGIN.replace("    for track in", "    while True: pass\n    for track in")
    monkeypatch.setattr("tests.detect.test_engine.PLUGIN", text)
    found, skipped = load([plugin(tmp_path, monkeypatch, "acme_slow")])
    slow = next(one for one in found if one.code == "acme-A1")
    assert skipped == ()
    began = time.monotonic()
    windows = [Window.from_lists({"loss.value": {"loss": [2.0, NAN]}}) for _ in range(3)]
    patience = Patience(0.3)
    told = [examine(window, [slow, rule("N101")], patience=patience) for window in windows]
    assert time.monotonic() - began < 10
    assert [fault.rule for _, faults in told for fault in faults] == ["acme-A1"], "it is asked once"
    assert "took longer than 0.3 s and was left out" in told[0][1][0].error
    assert all([one.rule for one in findings] == ["N101"] for findings, _ in told)


def test_a_slow_rule_of_ours_ends_when_it_reads():
    patience = Patience(0.05)

    def reads_for_ever(window, at):
        while True:
            if not patience():
                raise StoppedError
        yield

    slow = dataclasses.replace(rule("N101"), function=reads_for_ever, code="N999")
    window = Window.from_lists({"loss.value": {"loss": [1.0]}})
    _, (fault,) = examine(window, [slow], patience=patience)
    assert fault.rule == "N999" and "took longer" in fault.error


def test_a_diagnosis_that_is_not_wanted_any_more_ends_even_inside_a_rule_of_others():
    patience = Patience(60, proceed=lambda: False)
    with pytest.raises(StoppedError):
        examine(Window.from_lists({}), [dataclasses.replace(rule("N101"), origin="acme")], patience=patience)
