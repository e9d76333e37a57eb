"""Calls with gradients on are told apart by whether a loss depends on them."""

import torch
from torch import nn
from torch.nn import functional as F

from unbug.record.undecided import Undecided


def last(writer, phase):
    return next(one for one in reversed(writer.told("given")) if one["phase"] == phase)


def fit(net, rows, labels, *, steps=8, between=lambda net, step: None, loss=F.cross_entropy):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for step in range(steps):
        between(net, step)
        chosen = torch.arange(step * 10, step * 10 + 10)
        value = loss(net(rows[chosen]), labels[chosen])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


def test_predictions_without_no_grad_are_an_evaluation(record):
    rows, labels = torch.randn(120, 4), torch.randint(0, 3, (120,))

    def ask(net, step):
        if step % 2 == 0:
            float((net(rows[80:]).argmax(1) == labels[80:]).float().mean())

    with record() as writer:
        fit(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), rows, labels, between=ask)
    trained, asked = last(writer, "train"), last(writer, "eval")
    assert (trained["batches_looked_at"], trained["distinct_rows"]) == (8, 80)
    assert (asked["batches_looked_at"], asked["rows_looked_at"]) == (4, 160)
    assert (asked["rows_in_training"], asked["rows_not_in_training"]) == (0, 40)


def test_two_calls_for_one_loss_both_train(record):
    rows = torch.randn(80, 4)
    net = nn.Linear(4, 3)

    def both(first, chosen):
        return (first - net(chosen + 1)).pow(2).mean() + first.pow(2).mean()

    with record() as writer:
        fit(net, rows, rows, loss=both)
    assert [one["phase"] for one in writer.told("given")].count("eval") == 0
    assert last(writer, "train")["batches_looked_at"] == 16


def test_what_is_detached_does_not_train(record):
    rows = torch.randn(80, 4)
    net = nn.Linear(4, 3)
    with record() as writer:
        fit(net, rows, rows, loss=lambda said, chosen: (said - net(2 * chosen).detach()).pow(2).mean())
    assert last(writer, "train")["batches_looked_at"] == 8
    assert last(writer, "eval")["batches_looked_at"] >= 6


def test_a_call_is_decided_once():
    told = []
    undecided = Undecided(lambda key, look, trains: told.append((key, look, trains)))
    weight = torch.ones(3, requires_grad=True)
    for look in range(200):
        undecided.called("net", look)
        undecided.left(weight * 2)
    assert [trains for _, _, trains in told] == [False] * 136, "older ones are given up"
    undecided.called("net", 200)
    output = weight * 3
    undecided.left(output)
    undecided.backward((output.sum(),))
    undecided.close()
    assert sorted(look for _, look, _ in told) == list(range(201))
    assert [look for _, look, trains in told if trains] == [200]
