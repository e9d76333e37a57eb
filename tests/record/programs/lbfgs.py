"""LBFGS with strong-Wolfe line search: the closure runs many times inside one step."""

import hashlib

import torch
from torch import nn

torch.manual_seed(10)
torch.set_default_dtype(torch.float64)
net = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
x = torch.rand(128, 2) * 4 - 2
y = torch.sin(x[:, :1]) * torch.cos(x[:, 1:])
optimizer = torch.optim.LBFGS(
    net.parameters(), lr=0.8, max_iter=12, history_size=8, line_search_fn="strong_wolfe"
)
closures = 0


def closure():
    global closures
    closures += 1
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()
    return loss


for _ in range(25):
    print(optimizer.step(closure).item().hex(), closures)
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())
