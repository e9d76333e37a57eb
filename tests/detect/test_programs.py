"""Rules on real programs, recorded as users' are: silent on the healthy ones, right on the sick ones."""

from __future__ import annotations

import pytest
import torch

import unbug
from tests.detect import programs_healthy, programs_sick
from unbug.detect import Diagnosis, diagnose
from unbug.store import open_reader
from unbug.types import Severity


def recorded(program, folder) -> Diagnosis:
    torch.manual_seed(0)
    with unbug.run(dir=folder, name="one", quiet=True) as run:
        program()
    reader = open_reader(run.path)
    try:
        return diagnose(reader)
    finally:
        reader.close()


def alerts(diagnosis: Diagnosis) -> list[str]:
    return [f"{f.rule} {f.name}: {f.message}" for f in diagnosis.findings if f.severity is not Severity.NOTE]


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("program", programs_healthy.PROGRAMS, ids=lambda program: program.__name__)
def test_no_alert_on_a_healthy_program(program, tmp_path):
    diagnosis = recorded(program, tmp_path)
    assert diagnosis.faults == ()
    assert diagnosis.trainings and diagnosis.trainings[0].steps > 0, "it was recorded"
    assert alerts(diagnosis) == []


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("program", "rule"), programs_sick.PROGRAMS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_the_fault_is_named_first(program, rule, tmp_path):
    diagnosis = recorded(program, tmp_path)
    assert diagnosis.faults == ()
    assert diagnosis.findings, "nothing was found"
    assert diagnosis.findings[0].rule == rule, alerts(diagnosis)
