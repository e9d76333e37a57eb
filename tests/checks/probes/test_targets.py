"""Whether targets belong to their inputs: the arithmetic a second way, and programs of several styles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import unbug
from unbug.checks.probes.contract import Clock
from unbug.checks.probes.relation import columns_of, relation
from unbug.detect import diagnose
from unbug.session import probing
from unbug.store import open_reader
from unbug.types import Severity

OURS = ("D120", "D130", "D131", "D132", "D133")
F = nn.functional


def test_leaving_out_one_row_is_fitting_without_it():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(30, 3))
    targets = columns_of(rows @ draw.normal(size=(3, 2)) + 0.3 * draw.normal(size=(30, 2)))
    kernel = rows @ rows.T
    kernel = kernel - kernel.mean(0)[None] - kernel.mean(0)[:, None] + kernel.mean()
    ridge = 0.03 * np.trace(kernel) / 30 * np.eye(30)
    inverse = np.linalg.inv(kernel + ridge)
    quick = targets - (inverse @ targets) / np.diag(inverse)[:, None]
    for one in range(30):
        kept = np.arange(30) != one
        weights = np.linalg.solve(kernel[np.ix_(kept, kept)] + ridge[np.ix_(kept, kept)], targets[kept])
        np.testing.assert_allclose(quick[one], kernel[one, kept] @ weights, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_targets_in_another_order_are_not_told(seed):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(120, 8))
    kinds = (rows[:, 0] * rows[:, 1] > 0).astype(int) + 2 * (rows[:, 2] > 0)
    targets = columns_of(np.eye(4)[kinds])
    told = relation([rows], targets, Clock(20), draw, classes=kinds)
    other = draw.permutation(120)
    chance = relation([rows], targets[other], Clock(20), draw, classes=kinds[other])
    assert told.errors > 5
    assert chance.errors < 4
    assert told.accuracy > chance.accuracy


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """What is asked here is what the probe says, on however busy a machine."""
    monkeypatch.setattr(probing, "LEAST_S", 60.0)
    monkeypatch.setattr(probing, "MOST_S", 60.0)


def found(program, folder):
    torch.manual_seed(0)
    with unbug.run(dir=folder, name="one", quiet=True) as run:
        program()
    reader = open_reader(run.path)
    try:
        return [
            one for one in diagnose(reader).findings if one.rule in OURS and one.severity is not Severity.NOTE
        ]
    finally:
        reader.close()


def indexed(pick, *, steps=40, kinds=4):
    """A loop that indexes tensors; `pick` chooses the rows of the targets."""
    x, y = torch.randn(160, 10), torch.randint(0, kinds, (160,))
    x[torch.arange(160), y] += 2.5
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, kinds))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(steps):
        if step % 5 == 0:
            order = torch.randperm(160)
        rows = order[step % 5 * 32 : step % 5 * 32 + 32]
        loss = F.cross_entropy(model(x[rows]), pick(y, rows, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def regression(order):
    """A function without loaders that evaluates by hand; `order` of the training targets."""
    x = torch.randn(200, 6)
    y = (x @ torch.randn(6, 1)).squeeze(1) + 0.1 * torch.randn(200)
    train_x, train_y, test_x, test_y = x[:140], y[:140][order(140)], x[140:], y[140:]
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(40):
        begin = step % 5 * 28
        loss = F.mse_loss(model(train_x[begin : begin + 28]).squeeze(1), train_y[begin : begin + 28])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float((model(test_x).squeeze(1) - test_y).abs().mean())


class Words(nn.Module):
    """Recurrent, so that it cannot see later places."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.out = (
            nn.Embedding(12, 16),
            nn.GRU(16, 16, batch_first=True),
            nn.Linear(16, 12),
        )

    def forward(self, tokens, wanted):
        logits = self.out(self.cell(self.embed(tokens))[0])
        return logits, F.cross_entropy(logits.reshape(-1, 12), wanted.reshape(-1))


def sequences(shift):
    """Tokens in an order that can be learned; the targets are those `shift` places later."""
    text = (torch.arange(2000) * 5 + torch.arange(2000) // 7) % 12
    model = Words()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(20):
        at = torch.randint(0, 1900, (16,))
        given = torch.stack([text[one : one + 16] for one in at])
        wanted = torch.stack([text[one + shift : one + shift + 16] for one in at])
        _, loss = model(given, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def episodes():
    """Few-shot learning: classes get other numbers in each episode."""
    x, y = torch.randn(60, 8), torch.arange(60) % 3
    x[torch.arange(60), y] += 3
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(30):
        rows, names = torch.randperm(60)[:30], torch.randperm(3)
        loss = F.cross_entropy(model(x[rows]), names[y[rows]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def two_domains():
    """Which half of the batch comes from where is asked of every batch in the same order."""
    model = nn.Linear(8, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wanted = torch.arange(2).repeat_interleave(20)
    for _ in range(30):
        x = torch.randn(40, 8) + 0.2 * wanted[:, None]
        loss = F.cross_entropy(model(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("program", "rule"),
    [
        (lambda: indexed(lambda y, rows, step: y[rows.sort().values]), "D130"),
        (lambda: indexed(lambda y, rows, step: y[: len(rows)]), "D130"),
        (lambda: regression(torch.randperm), "D131"),
        (lambda: sequences(0), "D133"),
    ],
    ids=["sorted", "first labels", "shuffled alone", "not shifted"],
)
def test_targets_of_other_rows(program, rule, tmp_path):
    findings = found(program, tmp_path)
    assert rule in [one.rule for one in findings]
    assert all(one.diagnoses[0] == "misaligned-labels" for one in findings)


@pytest.mark.parametrize(
    "program",
    [
        lambda: indexed(lambda y, rows, step: y[rows]),
        lambda: regression(torch.arange),
        lambda: sequences(1),
        episodes,
        two_domains,
    ],
    ids=["indexed", "regression", "next token", "episodes", "two domains"],
)
def test_sound_programs(program, tmp_path):
    assert [one.message for one in found(program, tmp_path)] == []
