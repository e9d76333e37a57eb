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


LATE = """
import sys, time
from unbug.session.leftover import await_at_exit
import _thread

ended = _thread.allocate_lock()
ended.acquire()

def late():
    time.sleep(0.3)
    exec("1")  # as dataclasses do: the interpreter forgets here that an interrupt ended the program
    ended.release()

_thread.start_new_thread(late, ())
await_at_exit(lambda left_s: ended.acquire(timeout=left_s))
{end}
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("raise KeyboardInterrupt", -2),
        ("sys.exit(4)", 4),
        ("1 / 0", 1),
        ("try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    pass", 0),
        ("sys.excepthook = lambda *_: sys.exit(7)\nraise KeyboardInterrupt", 7),
    ],
)
def test_waiting_for_a_late_thread_changes_no_status(end, status):
    bare = subprocess.run([sys.executable, "-c", f"import sys\n{end}"], capture_output=True, timeout=100)
    ended = subprocess.run([sys.executable, "-c", LATE.format(end=end)], capture_output=True, timeout=100)
    assert (bare.returncode, ended.returncode) == (status, status), ended.stderr
