"""Two processes of DistributedDataParallel over gloo, spawned by `torch.multiprocessing`."""

import hashlib
import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def worker(rank, world, port, results):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    torch.manual_seed(9)
    net = DistributedDataParallel(
        nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
    )
    x = torch.randn(256, 12)
    data = TensorDataset(x, x[:, :3].argmax(1))
    sampler = DistributedSampler(data, num_replicas=world, rank=rank, seed=1)
    loader = DataLoader(data, batch_size=16, sampler=sampler)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        for inputs, target in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(inputs), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item().hex())
    sha = hashlib.sha256()
    for tensor in net.module.state_dict().values():
        sha.update(tensor.numpy().tobytes())
    results[rank] = (losses, sha.hexdigest())
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    with mp.get_context("spawn").Manager() as manager:
        results = manager.dict()
        mp.spawn(worker, args=(2, free_port(), results), nprocs=2)
        for rank in range(2):
            losses, digest = results[rank]
            print(rank, *losses, digest, sep="\n")
