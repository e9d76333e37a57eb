"""Children: spawned ones that train join the run, forked ones are silent, others leave no trace."""

from __future__ import annotations

import json

import numpy as np
import pytest

SPAWNED = """
import os, socket, sys
import torch, torch.distributed as dist, torch.multiprocessing as mp
from torch import nn

def work(rank, port):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(rank)
    for _ in range(25):
        optimizer.zero_grad()
        x, y = torch.randn(16, 8, generator=generator), torch.randint(0, 2, (16,), generator=generator)
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    if rank == 0:
        print(sum(parameter.sum().item() for parameter in model.parameters()).hex())
    dist.destroy_process_group()

if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(work, (port,), nprocs=2)
"""


@pytest.mark.slow
def test_two_ranks_are_one_run_with_a_writer_each(place):
    bare = place.program(SPAWNED)
    done = place.recorded(SPAWNED, env={"UNBUG_QUIET": "1"})
    assert done.stdout == bare.stdout
    assert done.stderr == ""
    assert [path.name for path in place.runs.iterdir() if path.is_dir()] == ["program"]
    with place.open() as view:
        points = view.read("loss.value")
        assert sorted(set(points.rank.tolist())) == [0, 1]
        for rank in (0, 1):
            steps = points.step[points.rank == rank]
            assert np.array_equal(np.sort(steps), np.arange(25))
        assert view.status.steps == 25


def test_a_child_that_only_imports_torch_leaves_no_writer(place):
    program = """
        import os, subprocess, sys
        if len(sys.argv) > 1:
            import torch
            print(torch.zeros(2).sum().item(), sorted(n for n in os.environ if n == "UNBUG_RUN_PATH"))
        else:
            sys.stdout.flush()
            subprocess.run([sys.executable, __file__, "child"], check=True)
            print("UNBUG_RUN_PATH" in os.environ)
    """
    done = place.recorded(program, options=("--quiet",))
    assert done.stdout == "0.0 ['UNBUG_RUN_PATH']\nTrue\n"
    assert done.stderr == ""
    assert len(list((place.runs / "program" / "writers").iterdir())) == 1


def test_a_forked_child_writes_nothing(place):
    done = place.recorded(
        """
        import json, os, sys
        import unbug
        from training import *
        with unbug.run() as run:
            train(10)
            run.log({"x": 1.0})
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                loss = train(10)
                run.log({"x": 2.0})
                print(json.dumps([loss, len(os.listdir("/proc/self/task"))]))
                sys.stdout.flush()
                sys.exit(0)
            os.waitpid(pid, 0)
            run.log({"x": 3.0})
        """,
        options=("--quiet",),
    )
    assert json.loads(done.stdout)[0] > 0
    assert done.stderr == ""
    with place.open() as view:
        assert view.read("x").values.tolist() == [1.0, 3.0]
        assert view.status.steps == 10
        assert view.status.state == "finished"


def test_data_loader_workers_are_forked_while_recorded(place):
    program = """
        import torch
        from torch import nn
        class Squares(torch.utils.data.Dataset):
            def __len__(self):
                return 64
            def __getitem__(self, index):
                x = torch.full((4,), index / 64)
                return x, x.square().sum()
        torch.manual_seed(0)
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            for x, y in torch.utils.data.DataLoader(Squares(), batch_size=8, shuffle=True, num_workers=2):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(x).squeeze(1), y)
                loss.backward()
                optimizer.step()
        print(loss.item().hex())
    """
    bare = place.program(program)
    done = place.recorded(program, options=("--quiet",))
    assert (done.stdout, done.stderr) == (bare.stdout, bare.stderr)
    with place.open() as view:
        assert view.status.steps == 24
