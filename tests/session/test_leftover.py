"""A program whose last job of unbug is late ends as it would have ended."""

import subprocess
import sys

import pytest

PROGRAM = """
import time
import torch
from unbug.session.background import Background
from unbug.session.faults import Faults

values = torch.randn(200_000)
until = time.monotonic() + 3

def busy():
    while time.monotonic() < until:
        values.sort()

background = Background(Faults(), tick_s=0.01)
background.every(1, "busy", busy)
background.start()
time.sleep(0.5)
{stop}
"""


@pytest.mark.parametrize(
    ("stop", "status"), [("print(background.stop(0.1), flush=True)", 0), ("import atexit", -6)]
)
def test_a_late_thread_in_a_library_does_not_take_the_process_down(stop, status):
    text = PROGRAM.format(stop=stop)
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout) == (status, "False\n" if not status else ""), ended.stderr
