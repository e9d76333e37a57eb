"""Autocast to bfloat16 with a GradScaler on the CPU; one batch overflows, and its step is skipped."""

import hashlib

import torch
from torch import nn

torch.manual_seed(3)
net = nn.Sequential(nn.Linear(32, 96), nn.ReLU(), nn.Linear(96, 96), nn.Tanh(), nn.Linear(96, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=40)
direction = torch.randn(32, 1)
for step in range(150):
    x = torch.randn(64, 32)
    target = x @ direction
    if step == 70:
        target[5] = float("inf")
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = net(x)
        loss = nn.functional.mse_loss(prediction.float(), target)
    scaler.scale(loss).backward()
    if step % 2:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    scaler.step(optimizer)
    scaler.update()
    print(step, loss.item().hex(), scaler.get_scale())
sha = hashlib.sha256()
for tensor in net.state_dict().values():
    sha.update(tensor.numpy().tobytes())
print(sha.hexdigest(), all(p.isfinite().all().item() for p in net.parameters()))
