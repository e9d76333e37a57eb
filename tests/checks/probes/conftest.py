"""A training is watched in this process, and what was kept of it is probed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from unbug.checks import run_probes
from unbug.hooks import Hub
from unbug.record import Recorder

sys.path.insert(0, str(Path(__file__).parents[2] / "record"))

from recorded import MemoryWriter


@pytest.fixture
def probe():
    """Call a training under a recorder, then run probes on what it kept; gives `{probe: Asked}` of the first
    model, and leaves what was kept in `probe.kept`."""

    def run(train, *, limit_s=20.0, among=None, **options):
        from unbug.checks.probes.running import PROBES

        torch.manual_seed(0)
        recorder = Recorder(MemoryWriter())
        hub = Hub(recorder)
        recorder.bind(hub)
        hub.install()
        try:
            train()
        finally:
            hub.remove()
            recorder.close()
        run.kept = recorder.kept
        wanted = {name: one for name, one in PROBES.items() if among is None or name in among}
        found = {}
        for asked in run_probes(recorder.kept, limit_s=limit_s, probes=wanted, **options):
            found.setdefault(asked.probe, asked)
        return found

    return run
