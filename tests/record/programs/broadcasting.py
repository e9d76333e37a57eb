"""A target of shape (N,) against an output of shape (N, 1): torch warns, once for each place and shape."""

import hashlib
import warnings

import torch
from torch import nn
from torch.nn.functional import mse_loss

torch.manual_seed(29)
net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
criterion = nn.MSELoss()
for step in range(150):
    x = torch.randn(24 if step % 3 else 12, 3)
    loss = criterion(net(x), x.sum(1)) if step % 2 else mse_loss(net(x), x.sum(1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
warnings.warn("done, and this is a warning of the program itself", stacklevel=1)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        criterion(net(torch.zeros(5, 3)), torch.zeros(5))
    except UserWarning as warning:
        print(type(warning).__name__, str(warning).split("(")[0], warning.__traceback__.tb_lineno)
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())
