"""Probes and their rules on real programs, recorded as users' are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import unbug
from unbug.detect import diagnose
from unbug.store import open_reader
from unbug.types import Severity

sys.path.insert(0, str(Path(__file__).parent))

import programs

OURS = ("M120", "M121", "M122", "M123", "D120", "D121", "D122", "D130", "D131", "D132", "T120")


def found(program, folder):
    torch.manual_seed(0)
    with unbug.run(dir=folder, name="one", quiet=True) as run:
        program()
    reader = open_reader(run.path)
    try:
        events = [event for event in reader.events() if event.kind == "probe"]
        return [one for one in diagnose(reader).findings if one.rule in OURS], events
    finally:
        reader.close()


@pytest.mark.parametrize("program", programs.SOUND, ids=lambda program: program.__name__)
def test_no_alert_on_a_sound_program(program, tmp_path):
    findings, events = found(program, tmp_path)
    assert [one.message for one in findings if one.severity is not Severity.NOTE] == []
    ran = {event.fields["probe"] for event in events if event.fields["possible"]}
    assert "all" in ran and len(ran) > 1, "some probe was made"


@pytest.mark.parametrize(
    ("program", "fault"), programs.SICK.items(), ids=lambda one: getattr(one, "__name__", one)
)
def test_a_fault_is_named(program, fault, tmp_path):
    findings, events = found(program, tmp_path)
    alerts = [one for one in findings if one.severity is not Severity.NOTE]
    assert alerts, [event.fields for event in events]
    assert alerts[0].diagnoses[0] == fault
    assert len(alerts) == 1
