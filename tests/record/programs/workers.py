"""Dropout, and augmentation drawn in two loader workers with seeds of their own."""

import hashlib
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Noisy(Dataset):
    """Each item is disturbed by torch's, NumPy's and Python's generators."""

    def __init__(self, size):
        self.x = torch.linspace(-1, 1, size * 8).view(size, 8)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        x = self.x[index] + 0.05 * torch.randn(8) + np.random.normal(0, 0.05) + random.uniform(-0.05, 0.05)
        return x, index % 3


def seed_worker(_):
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def main():
    torch.manual_seed(12)
    generator = torch.Generator().manual_seed(13)
    loader = DataLoader(
        Noisy(256),
        batch_size=16,
        shuffle=True,
        num_workers=2,
        worker_init_fn=seed_worker,
        generator=generator,
    )
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 3))
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3)
    for epoch in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.nll_loss(net(x).log_softmax(1), y)
            loss.backward()
            optimizer.step()
            print(epoch, loss.item().hex())
    state = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
    print(hashlib.sha256(state + torch.get_rng_state().numpy().tobytes()).hexdigest())
    print(
        random.random().hex() if random.seed(1) is None else "",
        float(np.random.default_rng(1).random()).hex(),
    )


if __name__ == "__main__":
    main()
