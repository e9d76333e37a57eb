"""torchrun with four ranks, one of which is killed; started again with a checkpoint, it is still one run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from unbug.session.launch import Launch
from unbug.types import RunState

RANKS, STEPS, EVERY, DIES_AT = 4, 40, 10, 25
PROGRAM = f"""
import os, signal, sys, time
import torch, torch.distributed as dist
from torch import nn
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
first = 0
if os.path.exists("checkpoint.pt"):
    state = torch.load("checkpoint.pt")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    first = state["step"]
for step in range(first, {STEPS}):
    generator = torch.Generator().manual_seed(100 * step + rank)
    x, y = torch.randn(16, 8, generator=generator), torch.randint(0, 2, (16,), generator=generator)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    if rank == 0 and (step + 1) % {EVERY} == 0:
        state = {{"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}}
        torch.save(state, "part.pt")
        os.replace("part.pt", "checkpoint.pt")
    if step == {DIES_AT} and first == 0 and os.environ.get("DIE"):
        time.sleep(1.5)  # what was recorded so far is on the disk
        if rank == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        dist.barrier()
if rank == 0:
    print(sum(parameter.sum().item() for parameter in model.parameters()).hex())
dist.destroy_process_group()
"""
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS))


def start(place, *words, **environment):
    return subprocess.run(
        words, cwd=place.folder, env=place.environment(**environment), capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_killed_rank_and_a_second_start_are_one_run_of_two_attempts(place):
    place.write(PROGRAM)
    bare = start(place, *TORCHRUN, "program.py")
    (place.folder / "checkpoint.pt").unlink()
    under = (sys.executable, "-m", "unbug", "run", "--quiet", "--resume", "auto", "--")
    first = start(place, *under, *TORCHRUN, "program.py", DIE="1")
    assert first.returncode == 1, first.stderr
    with place.open() as view:
        assert view.status.state is RunState.FAILED
        assert view.status.exit_code == 1
    again = start(place, *under, *TORCHRUN, "program.py")
    assert again.returncode == 0, again.stderr
    assert again.stdout == bare.stdout
    assert [path.name for path in place.runs.iterdir() if path.is_dir()] == ["program"]
    with place.open() as view:
        assert view.status.state is RunState.FINISHED
        assert view.status.attempt == 1
        assert view.status.steps == STEPS
        points = view.read("loss.value")
        resumed_at = DIES_AT // EVERY * EVERY
        for rank in range(RANKS):
            mine = points.rank == rank
            assert np.array_equal(points.step[mine], np.arange(STEPS)), rank
            assert points.attempt[mine].tolist() == [0] * resumed_at + [1] * (STEPS - resumed_at), rank
        every = view._reader.read(view.series("loss.value")[0], all_attempts=True)
        for rank in range(RANKS):
            before = every.step[(every.rank == rank) & (every.attempt == 0)]
            assert np.array_equal(before, np.arange(DIES_AT + 1)), rank
        attempts = view._reader.attempts()
        assert [(one.number, one.state, one.ranks) for one in attempts] == [
            (0, RunState.FAILED, tuple(range(RANKS))),
            (1, RunState.FINISHED, tuple(range(RANKS))),
        ]


def launch(**environment):
    return Launch.of(environment, name="train")


SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"}
ELASTIC = {"TORCHELASTIC_RUN_ID": "job", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2",
           "MASTER_ADDR": "a", "MASTER_PORT": "1"}  # fmt: skip


def test_what_tells_one_launch_from_another():
    assert launch().identity == ""
    assert launch(SLURM_JOB_ID="7").identity == ""  # a batch script may start several programs
    assert launch(**{**SLURM, "SLURM_STEP_NUM_TASKS": "1"}).identity == ""
    one = launch(**SLURM)
    assert one.identity and one.start
    for other, same in (({"SLURM_PROCID": "3"}, True), ({"SLURM_STEP_ID": "1"}, False)):
        assert (launch(**{**SLURM, **other}).identity == one.identity) is same
    again = launch(**SLURM, SLURM_RESTART_COUNT="1")
    assert (again.identity, again.start == one.start) == (one.identity, False)
    assert launch(**SLURM, UNBUG_RUN_ID="mine").identity == launch(UNBUG_RUN_ID="mine").identity
    assert launch(**SLURM, **ELASTIC).identity == launch(**ELASTIC).identity
    assert launch(**{**ELASTIC, "RANK": "2"}).start == launch(**ELASTIC).start
    assert launch(**{**ELASTIC, "MASTER_PORT": "2"}).start != launch(**ELASTIC).start
    assert launch(**ELASTIC, TORCHELASTIC_RESTART_COUNT="1").identity == launch(**ELASTIC).identity
    alone = {**ELASTIC, "TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "4"}
    assert launch(**alone).identity == launch(**{**alone, "RANK": "3"}).identity != ""
    agent = Launch.of({}, name="train", command=("torchrun", "--rdzv-id=job", "train.py"))
    assert agent.identity == launch(**ELASTIC).identity
