"""A sweep over learning rates and widths; all models and optimizers are made before the first step."""

import hashlib
import itertools

import torch
from torch import nn

torch.manual_seed(22)
x = torch.randn(160, 5)
y = (x[:, 0] * x[:, 1] > 0).float()
trials = []
for lr, width in itertools.product((1e-3, 1e-2, 1e-1), (8, 32)):
    net = nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 1), nn.Flatten(0))
    trials.append((lr, width, net, torch.optim.Adam(net.parameters(), lr=lr)))
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.2))
for lr, width, net, optimizer in trials:
    for step in range(40):
        rows = torch.randint(0, 160, (32,))
        optimizer.zero_grad()
        loss = criterion(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        if step % 4 == 0:
            print(lr, width, step, loss.item().hex())
# A last round in which the trials take turns.
for step in range(20):
    for _, _, net, optimizer in trials:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
    print(step, loss.item().hex())
print(
    hashlib.sha256(
        b"".join(p.detach().numpy().tobytes() for t in trials for p in t[2].parameters())
    ).hexdigest()
)
