"""Ends with exit code 7 from inside nested calls, with `finally` and atexit on the way."""

import atexit
import hashlib
import sys

import torch
from torch import nn

torch.manual_seed(26)
net = nn.Bilinear(4, 4, 2)
optimizer = torch.optim.NAdam(net.parameters(), lr=0.01)
atexit.register(lambda: print("atexit", len(sys.argv), __name__, file=sys.stderr))


def give_up(loss):
    print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())
    if loss > -1:
        sys.exit(7)


try:
    for _ in range(120):
        a, b = torch.randn(16, 4), torch.randn(16, 4)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(a, b), (a * b)[:, :2])
        loss.backward()
        optimizer.step()
        print(loss.item().hex())
    give_up(loss.item())
finally:
    print("finally")
