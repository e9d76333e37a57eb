"""Tied input and output embeddings under Adam, and a sparse embedding under SparseAdam."""

import hashlib

import torch
from torch import nn


class Language(nn.Module):
    def __init__(self, words=60, width=24):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.mix = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, words, bias=False)
        self.out.weight = self.words.weight
        self.topics = nn.EmbeddingBag(200, width, sparse=True, mode="mean")

    def forward(self, tokens, bag):
        hidden, _ = self.mix(self.words(tokens) + self.topics(bag).unsqueeze(1))
        return self.out(hidden)


torch.manual_seed(28)
net = Language()
dense = [p for name, p in net.named_parameters() if not name.startswith("topics")]
optimizers = [torch.optim.Adam(dense, lr=5e-3), torch.optim.SparseAdam(net.topics.parameters(), lr=1e-2)]
for _ in range(60):
    tokens = torch.randint(0, 60, (8, 11))
    out = net(tokens[:, :-1], torch.randint(0, 200, (8, 5)))
    loss = nn.functional.cross_entropy(out.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=3)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    print(loss.item().hex())
print(net.out.weight is net.words.weight)
print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters())).hexdigest())
