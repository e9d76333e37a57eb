"""`unbug show` and `unbug sql` tell what the program logged, set and saved by other libraries."""

from __future__ import annotations

import json

import pytest

PROGRAM = """
import argparse

import torch
from torch.utils.tensorboard import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--depth", type=int, default=2)
parser.add_argument("--amp", action="store_true")
args = parser.parse_args()
torch.manual_seed(0)
x = torch.randn(32, 4)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
writer = SummaryWriter("logs")
for step in range(6):
    if step == 4:
        x = x * float("nan")
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    writer.add_scalar("train/loss", loss, 100 * step)
    torch.save({"model": model.state_dict(), "step": step}, f"step{step}.pt")
writer.close()
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    from tests.cli.conftest import Command

    command = Command(tmp_path_factory.mktemp("taken"))
    command.write("train.py", PROGRAM)
    command("run", "--quiet", "train.py", "--lr", "0.05", "--amp")
    return command


def test_show_has_a_line_for_each(shown):
    lines = shown("show", "@last", env={"COLUMNS": "200"}).stdout.splitlines()
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "logged tensorboard: train/loss\n" in text
    assert "set to argparse: lr 0.05, amp yes; 1 more as by default\n" in text
    assert (
        f"saved 6 checkpoints, NaN or infinity in the last at step 5: {shown.folder}/step5.pt\n"
        f"the last sound one at step 3: {shown.folder}/step3.pt\n"
    ) in text


def test_json_has_them_whole(shown):
    seen = json.loads(shown("show", "@last", "--json").stdout)
    assert seen["logged"] == {"tensorboard": ["train/loss"]}
    (said,) = seen["hyperparameters"]
    assert said["values"] == {"lr": 0.05, "depth": 2, "amp": True}
    assert seen["checkpoints"]["last_healthy"]["step"] == 3
    assert seen["checkpoints"]["last"]["healthy"] is False


def test_sql_has_tables_of_them(shown):
    def asked(query):
        return json.loads(shown("sql", "@last", "--json", query).stdout)

    assert asked("select path, step from checkpoints where healthy order by step desc limit 1") == [
        {"path": f"{shown.folder}/step3.pt", "step": 3}
    ]
    assert asked("select key, value, number from hyperparameters where changed order by key") == [
        {"key": "amp", "value": "true", "number": None},
        {"key": "lr", "value": "0.05", "number": 0.05},
    ]
    assert asked(
        "select step, user_step from scalars where origin = 'tensorboard' order by step limit 2"
    ) == [
        {"step": 0, "user_step": 0.0},
        {"step": 1, "user_step": 100.0},
    ]
