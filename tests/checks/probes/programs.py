"""Small trainings of many shapes: sound ones, and ones with one fault that a probe names."""

from __future__ import annotations

import math

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

VOCABULARY, LENGTH = 12, 8


def fit(model, inputs, targets, *, steps=30, batch=32, rate=3e-3, loss=F.cross_entropy):
    """Train on random batches."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        part = torch.randint(0, len(inputs), (batch,))
        optimizer.zero_grad()
        loss(model(inputs[part]), targets[part]).backward()
        optimizer.step()


def chain(rows=200):
    """Sequences in which each token follows from the one before."""
    first = torch.randint(0, VOCABULARY, (rows, 1))
    return (first + 5 * torch.arange(LENGTH + 1)) % VOCABULARY


class Attention(nn.Module):
    """Self-attention with a mask from a diagonal on, over dimension `over`."""

    def __init__(self, *, diagonal=1, over=-1):
        super().__init__()
        self.qkv, self.diagonal, self.over = nn.Linear(16, 48), diagonal, over

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        weights = q @ k.transpose(-2, -1) / math.sqrt(16)
        if self.diagonal is not None:
            mask = torch.ones(x.shape[1], x.shape[1]).triu(self.diagonal).bool()
            weights = weights.masked_fill(mask, -1e9)
        return weights.softmax(self.over) @ v


class Sequence(nn.Module):
    """Tokens to logits, at each position or (`pooled`) for the whole."""

    def __init__(self, attention, *, classes=VOCABULARY, positions=True, pooled=False):
        super().__init__()
        self.token = nn.Embedding(VOCABULARY + 1, 16)
        self.position = nn.Embedding(LENGTH + 1, 16) if positions else None
        self.attention, self.head, self.pooled = attention, nn.Linear(16, classes), pooled

    def forward(self, tokens):
        x = self.token(tokens)
        if self.position is not None:
            x = x + self.position(torch.arange(tokens.shape[1]))
        x = x + self.attention(x)
        return self.head(x.mean(1) if self.pooled else x)


def over_tokens(logits, wanted):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), wanted.reshape(-1))


def causal_model():
    rows = chain()
    fit(Sequence(Attention()), rows[:, :-1], rows[:, 1:], loss=over_tokens)


def mask_one_too_far():
    rows = chain()
    fit(Sequence(Attention(diagonal=2)), rows[:, :-1], rows[:, 1:], loss=over_tokens)


def masked_language_model():
    rows = chain()[:, :-1]
    hidden = torch.rand(rows.shape) < 0.3
    inputs, targets = torch.where(hidden, VOCABULARY, rows), torch.where(hidden, rows, -100)
    fit(Sequence(Attention(diagonal=None)), inputs, targets, loss=over_tokens)


def first_above_last(model):
    tokens = torch.randint(0, 4, (800, 4))
    fit(model, tokens, (tokens[:, 0] > tokens[:, -1]).long(), steps=50)


def order_matters_and_is_lost():
    first_above_last(Sequence(Attention(diagonal=None), classes=2, positions=False, pooled=True))


def order_matters_and_is_there():
    first_above_last(Sequence(Attention(diagonal=None), classes=2, pooled=True))


def a_bag_of_tokens():
    tokens = torch.randint(0, 4, (800, 4))
    model = Sequence(Attention(diagonal=None), classes=2, positions=False, pooled=True)
    fit(model, tokens, (tokens.sum(1) > 6).long(), steps=50)


class OverBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, x):
        hidden = torch.relu(self.body(x))
        return self.head(hidden - hidden.mean(0))


def blobs(rows=300, classes=3):
    """Rows around one centre a class."""
    labels = torch.randint(0, classes, (rows,))
    centres = 3 * torch.eye(classes, 6)
    return centres[labels] + 0.7 * torch.randn(rows, 6), labels


def mean_over_the_batch():
    fit(OverBatch(), *blobs())


def perceptron(width=32, *middle):
    return nn.Sequential(nn.Linear(6, width), *middle, nn.ReLU(), nn.Linear(width, 3))


def batch_norm():
    fit(perceptron(32, nn.BatchNorm1d(32)), *blobs(), steps=60)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.GRU(6, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0][-1])


def time_first():
    x, y = blobs()
    series = x.unsqueeze(0) + 0.1 * torch.randn(9, len(x), 6)
    model, optimizer = (net := Recurrent()), torch.optim.Adam(net.parameters())
    for _ in range(20):
        part = torch.randint(0, len(y), (16,))
        optimizer.zero_grad()
        F.cross_entropy(model(series[:, part]), y[part]).backward()
        optimizer.step()


class Similarities(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(6, 8)

    def forward(self, x):
        return F.normalize(self.one(x), dim=1) @ F.normalize(self.two(x), dim=1).T * 5


def contrastive():
    x, _ = blobs()
    fit(
        Similarities(),
        x,
        torch.zeros(len(x)),
        loss=lambda all_pairs, _: F.cross_entropy(all_pairs, torch.arange(32)),
    )


class Graph(nn.Module):
    def __init__(self, edges):
        super().__init__()
        self.register_buffer("edges", edges)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.edges @ self.head(x)


def graph():
    x, y = blobs(60)
    near = (torch.cdist(x, x) < 2).float()
    model = Graph(near / near.sum(1, keepdim=True))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


class Mapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = perceptron()

    def forward(self, batch):
        return {"logits": self.net(batch["x"]), "extra": batch["x"].sum()}


def dictionaries():
    x, y = blobs()
    models = [Mapped()]
    optimizer = torch.optim.Adam(models[0].parameters())
    for _ in range(20):
        part = torch.randint(0, len(x), (32,))
        optimizer.zero_grad()
        F.cross_entropy(models[0]({"x": x[part]})["logits"], y[part]).backward()
        optimizer.step()


def adversarial():
    maker, judge = nn.Linear(4, 6), perceptron()
    judge[-1] = nn.Linear(32, 1)
    makes, judges = (torch.optim.Adam(one.parameters()) for one in (maker, judge))
    x, _ = blobs()
    for _ in range(20):
        real = x[torch.randint(0, len(x), (16,))]
        judges.zero_grad()
        F.binary_cross_entropy_with_logits(judge(real), torch.ones(16, 1)).backward()
        F.binary_cross_entropy_with_logits(
            judge(maker(torch.randn(16, 4)).detach()), torch.zeros(16, 1)
        ).backward()
        judges.step()
        makes.zero_grad()
        F.binary_cross_entropy_with_logits(judge(maker(torch.randn(16, 4))), torch.ones(16, 1)).backward()
        makes.step()


def labels_of_other_rows():
    digits = load_digits()
    x, y = torch.tensor(digits.data[:500] / 16).float(), torch.tensor(digits.target[:500])
    fit(nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)), x, y[torch.randperm(500)], rate=1e-3)


def labels_of_noise():
    fit(perceptron(), torch.randn(400, 6), torch.randint(0, 3, (400,)), steps=40)


def one_unit():
    x, y = blobs(400, 6)
    fit(nn.Sequential(nn.Linear(6, 1), nn.ReLU(), nn.Linear(1, 6)), x, y, steps=40)


class Careless(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 32), nn.Linear(32, 3)

    def forward(self, x):
        return self.head(F.dropout(torch.relu(self.body(x)), 0.5))


def dropout_in_evaluation():
    fit(Careless(), *blobs())


def statistics_that_lag():
    x, y = blobs(400)
    fit(perceptron(32, nn.BatchNorm1d(32, momentum=1e-4)), 20 * x + 100, y, steps=80)


def copies_on_both_sides():
    x, y = blobs(250)
    x = torch.cat([x, x + 1e-3 * torch.randn_like(x)])
    y = y.repeat(2)
    order = torch.randperm(500)
    x, y = x[order], y[order]
    model = perceptron()
    fit(model, x[:350], y[:350], steps=40)
    with torch.no_grad():
        F.cross_entropy(model(x[350:]), y[350:])


SOUND = (
    causal_model, masked_language_model, order_matters_and_is_there, a_bag_of_tokens, batch_norm, time_first,
    contrastive, graph, dictionaries, adversarial, labels_of_noise,
)  # fmt: skip
SICK = {
    mask_one_too_far: "causal-mask-leak",
    order_matters_and_is_lost: "missing-positional-encoding",
    mean_over_the_batch: "wrong-dim",
    labels_of_other_rows: "misaligned-labels",
    dropout_in_evaluation: "train-mode-eval",
    statistics_that_lag: "batchnorm-misuse",
    copies_on_both_sides: "train-test-leak",
}
