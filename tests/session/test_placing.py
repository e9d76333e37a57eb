"""Processes of one launch find one run, whoever comes first; nobody waits for a clock or a lock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from unbug.session.launch import Launch
from unbug.session.placing import place as place_in
from unbug.store import create_run, open_writer
from unbug.types import RunState, Status

JOINING = """
import json, sys, time
from pathlib import Path
from unbug.session.launch import Launch
from unbug.session.placing import place
from unbug.store import create_run
directory, identity, start, until = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
made = []
def make():
    made.append(1)
    return create_run(directory, name="run")
time.sleep(max(0, until - time.time()))
found = place(directory, Launch(identity=identity, start=start, said={}), make=make)
print(json.dumps([found.path.name, found.run.id, found.attempt, found.first, len(made)]))
"""


def join(place, count, *, identity, start=""):
    """So many processes at the same moment."""
    until = str(time.time() + 4)
    words = [sys.executable, "-c", JOINING, str(place.runs), identity, start, until]
    children = [
        subprocess.Popen(words, env=place.environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    return [json.loads(child.communicate(timeout=120)[0]) for child in children]


@pytest.mark.parametrize("start", ["", "restart 0"])
def test_many_at_once_make_one_run(place, start):
    found = join(place, 12, identity="job", start=start)
    assert len({tuple(one[:3]) for one in found}) == 1
    assert sum(first for *_, first, _ in found) == 1
    assert sum(made for *_, made in found) == 1
    assert found[0][0] == "run"


def again(place, *, identity="job", start="", resume=lambda: None, wait_s=0.3):
    return place_in(
        place.runs,
        Launch(identity=identity, start=start, said={}),
        make=lambda: create_run(place.runs, name="run"),
        resume=resume,
        wait_s=wait_s,
    )


def end(place, placed, state=RunState.KILLED):
    writer = open_writer(placed.path, attempt=placed.attempt)
    writer.status(Status(state=state, updated_ns=time.time_ns()))
    writer.close()


def test_a_requeued_job_is_the_next_attempt_and_another_identity_another_run(place):
    first = again(place, start="restart 0")
    assert (first.attempt, first.first) == (0, True)
    assert again(place, start="restart 0") == replace(first, first=False)
    second = again(place, start="restart 1")
    assert (second.path, second.attempt, second.first) == (first.path, 1, True)
    assert again(place, start="restart 1").attempt == 1
    assert again(place, identity="other").path != first.path


def test_without_a_start_a_running_run_is_joined_and_an_ended_one_gone_on_with(place):
    first = again(place)
    assert again(place) == replace(first, first=False)
    end(place, first)
    second = again(place)
    assert (second.path, second.attempt, second.first) == (first.path, 1, True)
    with_status = open_writer(second.path, attempt=1)
    assert again(place) == replace(second, first=False)
    with_status.close()


def test_one_that_died_while_beginning_is_not_waited_for_long(place):
    folder = place.runs / ".launches" / Launch(identity="job", said={}).key
    (folder / "n0").mkdir(parents=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: again(place), range(4)))
    assert len({one.path for one in found}) == 1
    assert sum(one.first for one in found) == 1
    assert [path.name for path in place.runs.iterdir() if (path / "run.json").exists()] == [
        found[0].path.name
    ]


def test_a_run_that_was_removed_is_made_anew(place):
    import shutil

    first = again(place)
    shutil.rmtree(first.path)
    second = again(place)
    assert (second.attempt, second.first) == (0, True)
    assert second.run.id != first.run.id


def test_a_clock_that_goes_wrong_on_another_host_does_not_end_a_run(place, monkeypatch):
    """The run's host is two minutes behind: its status looks old, and changes nevertheless."""
    first = again(place)
    file = first.path / "status.json"
    status = json.loads(file.read_text())
    status |= {"host": "elsewhere", "updated_ns": time.time_ns() - 120_000_000_000}
    file.write_text(json.dumps(status))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(again, place)
        time.sleep(1)
        file.write_text(json.dumps(status | {"updated_ns": status["updated_ns"] + 1_000_000_000}))
        assert waiting.result(timeout=30) == replace(first, first=False)
    monkeypatch.setattr("unbug.session.placing.SILENT_S", 0.5)
    assert again(place).attempt == 1


def test_sixteen_workers_of_a_loader_leave_one_writer(place):
    done = place.recorded(
        """
        import multiprocessing, sys
        import torch
        from torch import nn
        class Squares(torch.utils.data.Dataset):
            def __len__(self):
                return 64
            def __getitem__(self, index):
                x = torch.full((4,), index / 64)
                return x, x.square().sum()
        if __name__ == "__main__":
            model = nn.Linear(4, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for how in sys.argv[1:]:
                workers = {"num_workers": 16 if how == "fork" else 2, "multiprocessing_context": how}
                loader = torch.utils.data.DataLoader(Squares(), batch_size=2, **workers)
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.mse_loss(model(x).squeeze(1), y).backward()
                    optimizer.step()
        """,
        "fork", "spawn", options=("--quiet",), env={"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.stderr == ""
    with place.open() as view:
        assert view.status.steps == 64
        assert len(list((view.path / "writers").iterdir())) == 1
        assert len(view.read("step.wait_s").values) >= 60
