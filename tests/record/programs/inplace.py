"""Residual blocks that change in place what BatchNorm returned, and views of module outputs."""

import hashlib

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.bn(self.conv(x))
        y += x
        return self.relu(y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 6)

    def forward(self, x):
        x = self.stem(x)
        x.clamp_(min=-3)
        x = self.blocks(x).mean((2, 3))
        out = self.head(x)
        out[:, 1:].mul_(1.5)
        first, rest = out.split((2, 4), 1)
        return torch.cat([first * 2, rest], 1)


torch.manual_seed(27)
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
for _ in range(60):
    x = torch.randn(8, 3, 12, 12)
    y = (x.mean((1, 2, 3)) * 100).long().clamp(0, 5)
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
sha = hashlib.sha256()
for tensor in net.state_dict().values():
    sha.update(tensor.numpy().tobytes())
print(sha.hexdigest())
