"""Where little may be written, and without a library that the program wants, it runs as without unbug."""

import sys

import pytest

from unbug.types import RunState

TRAINS = """
from training import *
print(train(30))
"""
ABSENT = """
import importlib.abc, sys
from training import *

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "wandb":
            raise ModuleNotFoundError("No module named 'wandb'", name="wandb")

sys.meta_path.insert(0, Absent())
train(5)
try:
    import wandb
except ImportError as error:
    print(type(error).__name__, error, error.name)
import wandb
"""
NOWHERE = "/proc/unbug-may-not-write-here"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="root writes anywhere but to /proc")
def test_a_home_and_a_temporary_folder_where_nothing_can_be_written(place):
    """So what may be executed in them (`noexec`) does not matter either."""
    hostile = {"HOME": NOWHERE, "TMPDIR": NOWHERE, "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    bare = place.program(TRAINS, env=hostile)
    done = place.recorded(TRAINS, env=hostile)
    assert done.stdout == bare.stdout
    assert "failed" not in done.stderr
    with place.open() as view:
        assert (view.status.state, view.status.steps) == (RunState.FINISHED, 30)
        assert not view.events("fault")


def test_nothing_more_is_left_in_the_temporary_folder_and_nothing_executable_in_the_home(place):
    home, bare, watched = (place.folder / name for name in ("home", "bare", "watched"))
    for folder in (home, bare, watched):
        folder.mkdir()
    place.program(TRAINS, env={"TMPDIR": str(bare)})
    place.recorded(TRAINS, env={"HOME": str(home), "TMPDIR": str(watched), "XDG_CACHE_HOME": ""})
    assert {path.name for path in watched.iterdir()} == {path.name for path in bare.iterdir()}  # torch's own
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix in (".so", ".py") or path.stat().st_mode & 0o111] == []


def test_a_tracker_that_is_not_installed_is_missed_as_without_unbug(place):
    bare = place.program(ABSENT, code=1)
    done = place.recorded(ABSENT, code=1)
    assert bare.stdout.startswith("ModuleNotFoundError No module named 'wandb' wandb")
    assert done.stdout == bare.stdout
    assert done.stderr.startswith(bare.stderr)
    with place.open() as view:
        assert view.status.steps == 5


def test_doctor_says_what_stands_in_for_the_kernel(place):
    """`tests/test_build.py` installs without a compiler; this is what is told then."""
    said = place.python("-m", "unbug", "doctor", env={"UNBUG_KERNEL": "off"}, code=None).stdout
    assert "UNBUG_KERNEL=off; statistics are computed by numpy, slower" in " ".join(said.split())
