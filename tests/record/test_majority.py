"""`call.majority`: what a program without a model would reach, beside the accuracy of each loss call."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def train(record, loss, *, out=3, steps=2):
    model = nn.Linear(4, out)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record() as writer:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(torch.randn(8, 4))).backward()
            optimizer.step()
    return writer


def test_share_of_the_most_frequent_class(record):
    target = torch.tensor([0, 0, 0, 0, 0, 1, 2, 2])
    writer = train(record, lambda out: F.cross_entropy(out, target))
    assert writer.values("call.majority") == [5 / 8] * 2
    assert len(writer.values("call.accuracy")) == 2


def test_ignored_targets_are_left_out(record):
    target = torch.tensor([0, 0, 1, -100, -100, -100, -100, -100])
    assert train(record, lambda out: F.cross_entropy(out, target)).values("call.majority") == [2 / 3] * 2


def test_nothing_but_ignored_targets(record):
    target = torch.full((8,), -100)
    found = train(record, lambda out: F.cross_entropy(out.sum() * 0 + out, target, reduction="sum"))
    assert all(math.isnan(one) for one in found.values("call.majority"))


@pytest.mark.parametrize("positive", [1, 7])
def test_two_classes(record, positive):
    target = (torch.arange(8) < positive).float()
    writer = train(record, lambda out: F.binary_cross_entropy_with_logits(out.squeeze(1), target), out=1)
    assert writer.values("call.majority") == [7 / 8] * 2


def test_several_labels_an_example_have_none(record):
    target = torch.ones(8, 3)
    writer = train(record, lambda out: F.binary_cross_entropy_with_logits(out, target))
    assert writer.values("call.accuracy") and writer.values("call.majority") == []


def test_a_regression_has_none(record):
    writer = train(record, lambda out: F.mse_loss(out, torch.zeros(8, 3)))
    assert writer.values("call.error") and writer.values("call.majority") == []
