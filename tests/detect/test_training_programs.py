"""Rules on optimisation, loop, gradients and numbers, on programs recorded as users' are."""

from __future__ import annotations

import pytest

from tests.detect import programs_training
from tests.detect.test_programs import alerts, recorded


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize(
    ("program", "rule"),
    programs_training.SICK.items(),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_fault_is_named_first(program, rule, tmp_path):
    diagnosis = recorded(program, tmp_path)
    assert diagnosis.faults == ()
    assert diagnosis.findings, "nothing was found"
    assert diagnosis.findings[0].rule == rule, alerts(diagnosis)
    assert alerts(diagnosis), "it is an alert"
    assert diagnosis.findings[0].source is not None, "with the line of the program"


@pytest.mark.parametrize("program", programs_training.HEALTHY, ids=lambda program: program.__name__)
def test_no_alert_on_a_healthy_program(program, tmp_path):
    diagnosis = recorded(program, tmp_path)
    assert diagnosis.faults == ()
    assert diagnosis.trainings[0].steps > 0, "it was recorded"
    assert alerts(diagnosis) == []
