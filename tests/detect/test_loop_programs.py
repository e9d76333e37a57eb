"""Rules on evaluation and on several optimizers, on programs recorded as users' are."""

from __future__ import annotations

import pytest

from tests.detect import programs_loop
from tests.detect.test_programs import alerts, recorded


@pytest.mark.parametrize(
    ("program", "rule"),
    programs_loop.SICK.items(),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_fault_is_named_first(program, rule, tmp_path):
    diagnosis = recorded(program, tmp_path)
    assert diagnosis.faults == ()
    assert diagnosis.findings and diagnosis.findings[0].rule == rule, alerts(diagnosis)
    assert alerts(diagnosis), "it is an alert"
    assert diagnosis.findings[0].source is not None, "with the line of the program"


@pytest.mark.parametrize("program", programs_loop.HEALTHY, ids=lambda program: program.__name__)
def test_no_alert_on_a_healthy_program(program, tmp_path):
    diagnosis = recorded(program, tmp_path)
    assert diagnosis.faults == ()
    assert diagnosis.trainings[0].steps > 0, "it was recorded"
    assert alerts(diagnosis) == []
