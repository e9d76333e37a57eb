"""A run that was cut off goes on as its next attempt: steps done twice are kept, and read once."""

from __future__ import annotations

import numpy as np
import pytest

from unbug.types import RunState

TRAIN = """
import os, sys
import torch
from torch import nn
kind, stop = sys.argv[1], int(os.environ.get("STOP", "1000"))
torch.manual_seed(0)
x = torch.randn(64, 8); y = (x.sum(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = {
    "adam": lambda p: torch.optim.Adam(p),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "forgetful": lambda p: torch.optim.SGD(p, lr=0.1),
}[kind](model.parameters())
first, file = 0, f"{kind}.pt"
if kind == "forgetful":
    file = "elsewhere.pt"
if os.path.exists(file):
    state = torch.load(file)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    first = state["step"]
for step in range(first, 60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    if (step + 1) % 10 == 0 and kind != "forgetful":
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}, file
        )
    if step == stop:
        raise SystemExit(5)
print(loss.item().hex())
"""
KNOWN_BY = {"adam": "the optimizer", "momentum": "the checkpoint that was loaded"}
KNOWN_BY["sgd"] = KNOWN_BY["momentum"]


@pytest.mark.parametrize("kind", KNOWN_BY)
def test_no_step_is_lost_or_doubled(place, kind):
    bare = place.program(TRAIN, kind, env={"STOP": "1000"}).stdout
    (place.folder / f"{kind}.pt").unlink()
    place.recorded(TRAIN, kind, env={"STOP": "25"}, options=("--quiet",), code=5)
    done = place.recorded(TRAIN, kind, options=("--resume", "auto"))
    assert done.stdout == bare
    assert "unbug: goes on with run program, which had failed" in done.stderr
    assert [path.name for path in place.runs.iterdir() if not path.name.startswith(".")] == ["program"]
    with place.open() as view:
        points = view.read("loss.value")
        assert points.step.tolist() == list(range(60))
        assert points.attempt.tolist() == [0] * 20 + [1] * 40
        assert view.status.state is RunState.FINISHED
        assert view.status.steps == 60
        (resumed,) = view.events("resume")
        assert resumed.fields == {"step": 20, "known_by": KNOWN_BY[kind]}
        everything = view._reader.read(view.series("loss.value")[0], all_attempts=True)
        assert len(everything.step) == 26 + 40
        assert np.array_equal(everything.step[everything.attempt == 0], np.arange(26))


def test_what_cannot_be_known_is_said(place):
    place.recorded(TRAIN, "forgetful", env={"STOP": "25"}, options=("--quiet", "--name", "one"), code=5)
    place.recorded(TRAIN, "forgetful", options=("--quiet", "--resume", "one"))
    with place.open() as view:
        assert view.read("loss.value").attempt.tolist() == [1] * 60
        unseen = view.events("coverage")[-1].fields["unseen"]
        assert any("keeps no count of steps" in line and "counted from 0" in line for line in unseen)
        assert view.events("resume")[0].fields == {"step": None, "known_by": ""}


def test_auto_takes_only_the_same_program_arguments_and_folder(place):
    place.recorded(TRAIN, "adam", env={"STOP": "5"}, options=("--quiet",), code=5)
    other = place.recorded("print(1)", options=("--resume", "auto"))
    assert "no unfinished run of this program, arguments and folder to resume" in other.stderr
    place.recorded(TRAIN, "sgd", options=("--quiet", "--resume", "auto"))
    with place.open("@last") as view:
        assert view.status.attempt == 0
    place.recorded(TRAIN, "adam", options=("--quiet", "--resume", "auto"))
    with place.open("program") as view:
        assert view.status.attempt == 1
        assert view.status.state is RunState.FINISHED
    (place.folder / "adam.pt").unlink()
    place.recorded(TRAIN, "adam", options=("--quiet", "--resume", "auto"))  # finished: a new one
    with place.open("@last") as view:
        assert view.status.attempt == 0


def test_from_code_and_without_a_run(place):
    done = place.program(
        """
        import unbug
        try:
            unbug.run(resume="nothing", quiet=True)
        except unbug.errors.RunNotFoundError as error:
            print(error)
        from training import *
        for resume in (None, "one"):
            with unbug.run(name="one", resume=resume, quiet=True) as run:
                train(5)
                run.log({"x": 1.0})
                print(run.path.name)
                if resume is None:
                    break
        """
    )
    assert done.stdout.splitlines()[0].startswith("no run 'nothing' in")
    done = place.recorded("print(1)", options=("--resume", "nothing"), code=2)
    assert "no run 'nothing'" in done.stderr


def test_a_run_that_is_still_running_is_not_resumed(place):
    done = place.program(
        """
        import subprocess, sys
        import unbug
        with unbug.run(name="one", quiet=True):
            words = [sys.executable, "-m", "unbug", "run", "--resume", "one", __file__]
            env = {**__import__("os").environ}
            env.pop("UNBUG_RUN_PATH")
            again = subprocess.run(words, capture_output=True, text=True, env=env)
            print(again.returncode, again.stderr)
        """
    )
    assert done.stdout.startswith("2 unbug: cannot resume run 'one': it is still running")
