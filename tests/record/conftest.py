"""Fixtures: a recorder on the real hub, writing to memory."""

import contextlib
import random
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from recorded import MemoryWriter

from unbug.hooks import Hub
from unbug.record import Recorder


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture
def record():
    """`with record(...) as writer:` records what runs inside; `writer.recorder` is the recorder."""

    @contextlib.contextmanager
    def recording(**options):
        writer = MemoryWriter()
        recorder = Recorder(writer, random=random.Random(0), **options)
        hub = Hub(recorder)
        recorder.bind(hub)
        writer.recorder, writer.hub = recorder, hub
        hub.install()
        try:
            yield writer
        finally:
            hub.remove()
            recorder.close()
        assert not writer.told("fault"), writer.told("fault")

    return recording
