"""`torch.compile` as a function and `Module.compile` in place; prints what Dynamo counted too."""

import hashlib

import torch
import torch._dynamo.utils
from torch import nn


def make(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 4))


def train(call, net, steps):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        x = torch.randn(32, 16)
        loss = call(x, x[:, :4].argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item().hex())
    print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())


def counted():
    counters = torch._dynamo.utils.counters
    print("frames", dict(counters["frames"]), "graphs", counters["stats"]["unique_graphs"])
    print("breaks", dict(counters["graph_break"]), "recompiles", len(counters["recompiles"]))


first = make(6)
fast = torch.compile(first)
train(lambda x, y: nn.functional.cross_entropy(fast(x), y), first, 40)
counted()

second = make(7)
second.compile()
train(lambda x, y: nn.functional.cross_entropy(second(x), y), second, 40)
counted()


@torch.compile(fullgraph=True)
def whole(net, x, y):
    return nn.functional.cross_entropy(net(x), y)


third = make(8)
train(lambda x, y: whole(third, x, y), third, 20)
counted()
