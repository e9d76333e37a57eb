"""Evaluation only: no optimizer, no backward."""

import hashlib

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(23)
net = nn.Sequential(
    nn.Conv1d(3, 16, 5),
    nn.BatchNorm1d(16),
    nn.ReLU(),
    nn.AdaptiveAvgPool1d(4),
    nn.Flatten(),
    nn.Linear(64, 10),
).eval()
loader = DataLoader(TensorDataset(torch.randn(2000, 3, 40), torch.randint(0, 10, (2000,))), batch_size=50)
right = 0
sha = hashlib.sha256()
for _ in range(3):
    for x, y in loader:
        with torch.no_grad():
            out = net(x)
            loss = nn.functional.cross_entropy(out, y)
        right += (out.argmax(1) == y).sum().item()
        sha.update(out.numpy().tobytes())
        print(loss.item().hex())
print(right, sha.hexdigest())
