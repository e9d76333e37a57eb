"""What differs between two ranks of torchrun, and what may not: rules K on runs of two real processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unbug.detect import diagnose

PROGRAM = """
import sys
import torch, torch.distributed as dist
from torch import nn
dist.init_process_group("gloo")
kind, rank = sys.argv[1], dist.get_rank()
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1))
net = model if kind == "apart" else nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
draw = torch.Generator().manual_seed(0 if kind == "same" else rank)
for step in range(12):
    x = torch.randn(16, 8, generator=draw)
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x), x[:, :3].sum(1, keepdim=True)).backward()
    optimizer.step()
dist.barrier()
dist.destroy_process_group()
"""
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rule"), [("apart", "K101"), ("same", "K102")])
def test_two_ranks(place, kind, rule):
    place.write(PROGRAM)
    words = (sys.executable, "-m", "unbug", "run", "--quiet", "--", *TORCHRUN, "program.py", kind)
    done = subprocess.run(
        words, cwd=place.folder, env=place.environment(), capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with place.open() as view:
        found = diagnose(view._reader)
    assert found.faults == ()
    assert [one.rule for one in found.findings if one.rule[0] == "K"] == [rule]
