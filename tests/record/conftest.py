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


class Relay:
    """One hub for all tests, as putting it in place takes longer than most; each has its own recorder."""

    def __init__(self):
        self.recorder = None

    def __getattr__(self, name):
        def tell(*arguments):
            if self.recorder is not None:
                getattr(self.recorder, name)(*arguments)

        return tell


@pytest.fixture(scope="module")
def relay():
    relay = Relay()
    hub = Hub(relay)
    hub.install()
    relay.hub = hub
    yield relay
    hub.remove()


@pytest.fixture
def record(relay):
    """`with record(...) as writer:` records what runs inside; `writer.recorder` is the recorder."""

    @contextlib.contextmanager
    def recording(**options):
        writer = MemoryWriter()
        recorder = Recorder(writer, random=random.Random(0), **options)
        recorder.bind(relay.hub)
        writer.recorder, writer.hub = recorder, relay.hub
        relay.recorder = recorder
        try:
            yield writer
        finally:
            relay.recorder = None
            relay.hub.watch_modules, relay.hub.watch_forwards = False, True
            relay.hub.dozing, relay.hub.nap = False, None
            recorder.close()
        assert not writer.told("fault"), writer.told("fault")

    return recording
