"""Attention blocks under the checkpoint that is not reentrant, and `checkpoint_sequential`."""

import hashlib

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)

    def forward(self, x):
        h = self.norm(x)
        return x + self.attend(h, h, h, need_weights=False)[0]


class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.first = Attention(width, 2)
        self.second = Attention(width, 2)
        self.tail = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Dropout(0.1), nn.Linear(width, width), nn.SiLU()
        )
        self.head = nn.Linear(width, 20)

    def forward(self, tokens):
        x = self.embed(tokens)
        x = checkpoint(self.first, x, use_reentrant=False)
        x = checkpoint(self.second, x, use_reentrant=False, preserve_rng_state=True)
        x = checkpoint_sequential(self.tail, 2, x, use_reentrant=False)
        return self.head(x)


def main():
    torch.manual_seed(5)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(80):
        tokens = torch.randint(0, 20, (16, 13))
        logits = net(tokens[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), (tokens[:, :-1] * 3 % 20).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item().hex())
    print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())


main()
