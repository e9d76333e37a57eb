"""Interrupted: the first KeyboardInterrupt is a signal and is caught, the second is raised and is not."""

import atexit
import contextlib
import hashlib
import signal

import torch
from torch import nn

# torch imports it at exit, if it is installed, and python then forgets that an interrupt ended the program.
with contextlib.suppress(ImportError):
    import tabulate  # noqa: F401

torch.manual_seed(25)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(net.parameters())


@atexit.register
def last_words():
    print(
        "weights",
        hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest(),
    )


def train(stop):
    for step in range(100):
        if step == 50:
            stop()
        x = torch.randn(32, 8)
        optimizer.zero_grad()
        loss = nn.functional.huber_loss(net(x), x.flip(1))
        loss.backward()
        optimizer.step()
        print(step, loss.item().hex())


def raise_it():
    raise KeyboardInterrupt("enough")


try:
    train(lambda: signal.raise_signal(signal.SIGINT))
except KeyboardInterrupt:
    print("caught, once more")
train(raise_it)
