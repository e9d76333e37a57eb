"""Rules on losses and structure, on real programs: each speaks on its fault alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unbug
from unbug.detect import diagnose
from unbug.store import open_reader
from unbug.types import Severity

G = torch.Generator().manual_seed(0)
X = torch.randn(256, 12, generator=G)
BITS = (X[:, 0] + 0.3 * X[:, 1] > 0).float()
CLASSES = X[:, :4].argmax(1)
AMOUNTS = X[:, 0] - X[:, 1]


def mlp(*sizes, last=None):
    layers = []
    for one, two in pairwise(sizes):
        layers += [nn.Linear(one, two), nn.ReLU()]
    return nn.Sequential(*layers[:-1], *([last] if last else []))


def train(net, loss_of, *, goal, inputs=X, steps=14, optimizer=None, passes=1, batch=32):
    optimizer = optimizer or torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(passes):
            part = torch.randint(0, len(inputs), (batch,))
            loss = loss_of(net(inputs[part]), goal[part])
            loss.backward()
        optimizer.step()


def focal(out, y):
    p = torch.sigmoid(out).squeeze(1)
    return -(y * (1 - p) * torch.log(p + 1e-6) + (1 - y) * p * torch.log(1 - p + 1e-6)).mean()


def squashed_twice(fault):
    train(mlp(12, 16, 1, last=nn.Sigmoid() if fault else None), focal, goal=BITS)


def scores_for_nll(fault):
    train(mlp(12, 16, 4, last=None if fault else nn.LogSoftmax(1)), F.nll_loss, goal=CLASSES)


def regression_on_class_numbers(fault):
    loss = (lambda out, y: F.mse_loss(out[:, 0], y.float())) if fault else F.cross_entropy
    train(mlp(12, 16, 4), loss, goal=CLASSES)


def one_output_for_cross_entropy(fault):
    out = 1 if fault else 2
    train(mlp(12, 16, out), lambda out, y: F.cross_entropy(out, (y * 0).long()), goal=BITS)


def margin_of_zero_and_one(fault):
    labels = BITS if fault else 2 * BITS - 1
    train(mlp(12, 16, 1), lambda out, y: F.soft_margin_loss(out[:, 0], y), goal=labels)


def sigmoid_for_amounts(fault):
    net = mlp(12, 16, 1, last=nn.Sigmoid() if fault else None)
    train(net, lambda out, y: F.mse_loss(out[:, 0], y), goal=AMOUNTS)


def padding(fault):
    lengths = torch.randint(3, 10, (128,), generator=G)
    tokens = torch.randint(1, 20, (128, 12), generator=G)
    tokens[torch.arange(12)[None] >= lengths[:, None]] = 0
    net = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20))
    ignored = -100 if fault else 0
    loss = lambda out, y: F.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=ignored)  # noqa: E731
    train(net, loss, goal=tokens, inputs=tokens)


def summed(fault):
    net = mlp(12, 16, 4)
    how = "sum" if fault else "mean"
    rate = torch.optim.SGD(net.parameters(), lr=0.05)
    train(net, lambda out, y: F.cross_entropy(out, y, reduction=how), goal=CLASSES, optimizer=rate)


def accumulated(fault):
    loss = lambda out, y: F.cross_entropy(out, y) / (1 if fault else 4)  # noqa: E731
    train(mlp(12, 16, 4), loss, goal=CLASSES, passes=4)


def broadcast_by_hand(fault):
    train(mlp(12, 16, 1), lambda out, y: ((out if fault else out[:, 0]) - y).square().mean(), goal=AMOUNTS)


def signed(fault):
    how = torch.mean if fault else lambda one: one.abs().mean()
    train(mlp(12, 16, 1), lambda out, y: how(out[:, 0] - y), goal=AMOUNTS)


def no_activation(fault):
    middle = [] if fault else [nn.GELU()]
    train(nn.Sequential(nn.Linear(12, 24), *middle, nn.Linear(24, 4)), F.cross_entropy, goal=CLASSES)


def softmax_over_the_batch(fault):
    loss = lambda out, y: F.nll_loss(F.log_softmax(out, 0 if fault else 1), y)  # noqa: E731
    train(mlp(12, 16, 4), loss, goal=CLASSES)


class Series(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.into, self.conv, self.out = nn.Linear(3, 10), nn.Conv1d(10, 6, 3), nn.Linear(6, 4)
        self.fault = fault

    def forward(self, x):
        h = torch.relu(self.into(x))
        h = h.view(len(x), 10, 4) if self.fault else h.transpose(1, 2)
        return self.out(self.conv(h).mean(2))


def a_view_for_a_transpose(fault):
    train(Series(fault), F.cross_entropy, goal=CLASSES, inputs=X.view(-1, 4, 3))


class Language(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.emb, self.mix, self.head = nn.Embedding(16, 8), nn.Linear(8, 8), nn.Linear(8, 16, bias=False)
        self.head.weight = nn.Parameter(self.emb.weight.clone()) if fault else self.emb.weight

    def forward(self, x):
        return self.head(torch.tanh(self.mix(self.emb(x))))


def untied(fault):
    words = torch.randint(0, 16, (256,), generator=G)
    train(Language(fault), F.cross_entropy, goal=words.roll(1), inputs=words)


def one_block_three_times(fault):
    block = lambda: nn.Sequential(nn.Linear(12, 12), nn.ReLU())  # noqa: E731
    blocks = [block()] * 3 if fault else [block() for _ in range(3)]
    train(nn.Sequential(*blocks, nn.Linear(12, 4)), F.cross_entropy, goal=CLASSES)


def frozen(fault):
    net = mlp(12, 32, 4)
    if fault:
        net[0].requires_grad_(False)
    train(net, F.cross_entropy, goal=CLASSES)


def momentum_of_another_library(fault):
    net = nn.Sequential(
        nn.Linear(12, 16), nn.BatchNorm1d(16, momentum=0.99 if fault else 0.1), nn.ReLU(), nn.Linear(16, 4)
    )
    train(net, F.cross_entropy, goal=CLASSES)


def weights_of_five(fault):
    net = mlp(12, 16, 16, 4)
    if fault:
        nn.init.normal_(net[2].weight, std=5.0)
    train(net, F.cross_entropy, goal=CLASSES)


def dropped(fault):
    net = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Dropout(0.9 if fault else 0.3), nn.Linear(32, 4))
    train(net, F.cross_entropy, goal=CLASSES)


def evaluated_on_probabilities(fault):
    net = mlp(12, 16, 1)
    train(net, lambda out, y: F.binary_cross_entropy_with_logits(4 * out[:, 0], y), goal=BITS)
    with torch.no_grad():
        for part in (slice(0, 128), slice(128, 256)):
            out = 4 * net(X[part])[:, 0]
            F.binary_cross_entropy_with_logits(torch.sigmoid(out) if fault else out, BITS[part])


PROGRAMS = {
    squashed_twice: "L105",
    scores_for_nll: "L106",
    regression_on_class_numbers: "L107",
    one_output_for_cross_entropy: "L108",
    margin_of_zero_and_one: "L109",
    sigmoid_for_amounts: "L111",
    padding: "L112",
    summed: "L113",
    accumulated: "L114",
    evaluated_on_probabilities: "L116",
    broadcast_by_hand: "L117",
    signed: "L118",
    no_activation: "M107",
    softmax_over_the_batch: "M108",
    a_view_for_a_transpose: "M109",
    untied: "M110",
    one_block_three_times: "M111",
    frozen: "M112",
    momentum_of_another_library: "M113",
    weights_of_five: "M114",
    dropped: "M115",
}


REPAIRED = (padding, summed, accumulated, a_view_for_a_transpose, untied, frozen, evaluated_on_probabilities)
EVERY = [(program, rule, True) for program, rule in PROGRAMS.items()]
EVERY += [(program, PROGRAMS[program], False) for program in REPAIRED]


@pytest.mark.parametrize(
    ("program", "rule", "fault"), EVERY, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_the_rule_speaks_on_the_fault_alone(program, rule, fault, tmp_path):
    torch.manual_seed(0)
    with unbug.run(dir=tmp_path, name="one", quiet=True) as run:
        program(fault)
    reader = open_reader(run.path)
    try:
        diagnosis = diagnose(reader)
    finally:
        reader.close()
    assert diagnosis.faults == ()
    alerts = {finding.rule for finding in diagnosis.findings if finding.severity is not Severity.NOTE}
    assert (rule in alerts) is fault, alerts
    mine = {one for one in PROGRAMS.values() if one != rule}
    assert not alerts & mine, "no other of these rules"
