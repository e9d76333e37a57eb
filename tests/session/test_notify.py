"""`--notify COMMAND`: once, on the first error, with the finding; nobody waits for it."""

from __future__ import annotations

import json
import os
import time

import pytest

WRONG = """
import sys, time
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(64, 8); y = (x.sum(1) > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2), nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
until = time.monotonic() + float(sys.argv[1])
steps = 0
while steps < 40 or time.monotonic() < until:
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    steps += 1
    time.sleep(0.002)
print("seen" if __import__("os").path.exists("told.json") else "not yet")
"""
COMMAND = "cat > part.json; env | grep ^UNBUG_ | sort >> env.txt; mv part.json told.json; echo noise"


@pytest.mark.parametrize("seconds", ["0", "8"], ids=["at the end", "live"])
def test_the_first_error_is_told_once(place, seconds):
    done = place.recorded(WRONG, seconds, options=("--quiet", "--notify", COMMAND))
    assert (done.stdout, done.stderr) == ("seen\n" if seconds != "0" else "not yet\n", "")
    told = json.loads((place.folder / "told.json").read_text())
    with place.open() as view:
        (finding, *_) = view.findings()
        assert told["rule"] == finding.rule == "L101"
        assert told["run"] == {"name": "program", "id": view.run.id, "path": str(view.path)}
        events = [event.fields for event in view.events("notify")]
    assert [set(one) for one in events] == [{"command", "finding", "rule"}, {"command", "exit_code"}]
    assert events[1]["exit_code"] == 0
    assert events[0]["command"] == "cat …"  # the rest may hold an address that few may know
    assert b"told.json; echo noise" not in b"".join(
        path.read_bytes() for path in view.path.rglob("*") if path.is_file()
    )
    lines = (place.folder / "env.txt").read_text().splitlines()
    assert lines.count("UNBUG_FINDING_RULE=L101") == 1
    assert "UNBUG_FINDING_SEVERITY=error" in lines
    assert any(line.startswith("UNBUG_FINDING_ADVICE=") and len(line) > 30 for line in lines)


def test_a_healthy_run_tells_nothing(place):
    place.recorded("from training import *\ntrain(30)", options=("--quiet", "--notify", "touch told"))
    assert not (place.folder / "told").exists()


def test_a_slow_command_holds_nothing_up_and_outlives_the_run(place):
    began = time.monotonic()
    place.recorded(WRONG, "0", options=("--quiet",))
    bare_s = time.monotonic() - began
    began = time.monotonic()
    place.recorded(WRONG, "0", options=("--quiet", "--notify", "sleep 4; touch late"))
    assert time.monotonic() - began < bare_s + 3.5
    until = time.monotonic() + 20
    while not (place.folder / "late").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert (place.folder / "late").exists()


def test_a_command_that_fails_is_said_and_one_without_end_is_ended(tmp_path, place):
    done = place.recorded(WRONG, "0", options=("--notify", "no-such-command"))
    assert "unbug: the command of --notify ended with code 127" in done.stderr
    place.program(
        """
        import sys, time
        import unbug
        from unbug.session.notify import Notifier
        with unbug.open("@last") as view:
            finding = view.findings()[0]
            told, said = [], []
            command = "echo $$ > pid; sleep 100; touch late"
            notifier = Notifier(
                command, view.path, view.run, event=told.append, say=said.append, limit_s=0.5
            )
        notifier.tell(finding)
        notifier.tell(finding)
        until = time.monotonic() + 20
        while len(told) < 2 and time.monotonic() < until:
            notifier.look()
            time.sleep(0.05)
        assert told[1]["exit_code"] == -9, told
        assert said == ["unbug: the command of --notify took longer than 0.5 s and was ended"], said
        """
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int((place.folder / "pid").read_text()), 0)
