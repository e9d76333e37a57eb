"""Accelerate on the CPU, with its accumulation and clipping."""

import hashlib

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main():
    torch.manual_seed(17)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    x = torch.randn(256, 12)
    loader = DataLoader(TensorDataset(x, x[:, :3].sum(1, keepdim=True)), batch_size=8, shuffle=True)
    net = nn.Sequential(nn.Linear(12, 48), nn.SiLU(), nn.Linear(48, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=200)
    net, optimizer, loader, scheduler = accelerator.prepare(net, optimizer, loader, scheduler)
    for _ in range(4):
        for inputs, target in loader:
            with accelerator.accumulate(net):
                loss = nn.functional.smooth_l1_loss(net(inputs), target)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            print(loss.item().hex())
    plain = accelerator.unwrap_model(net)
    print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in plain.parameters())).hexdigest())


if __name__ == "__main__":
    main()
