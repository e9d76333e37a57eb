"""Gradients that were not finite after backward, and are when the optimizer gets them."""

import torch
from torch import nn
from torch.nn import functional as F


def fit(*, bad, clean, steps=4):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        out = model(torch.randn(8, 4))
        loss = out.square().mean()
        if bad:
            loss = loss + (out * 0).square().sum().sqrt()
        loss.backward()
        if clean:
            for parameter in model.parameters():
                parameter.grad.nan_to_num_()
        optimizer.step()


def test_cleaned_gradients(record):
    with record() as writer:
        fit(bad=True, clean=True)
    told = writer.told("masked")
    assert len(told) >= 2 and all(one["what"] == "gradient" and one["line"] for one in told)


def test_gradients_that_stay_bad_are_not_masked(record):
    with record() as writer:
        fit(bad=True, clean=False)
    assert writer.told("masked") == []


def test_sound_gradients(record):
    with record() as writer:
        fit(bad=False, clean=True)
    assert writer.told("masked") == []


def test_at_most_a_few_are_told(record):
    with record() as writer:
        fit(bad=True, clean=True, steps=15)
    assert len(writer.told("masked")) == 5


def test_what_the_program_computes_stays_the_same(record):
    def weights():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(8):
            optimizer.zero_grad()
            F.mse_loss(model(torch.randn(8, 4)), torch.zeros(8, 2)).backward()
            optimizer.step()
        return [parameter.detach().clone() for parameter in model.parameters()]

    bare = weights()
    with record():
        watched = weights()
    assert all(torch.equal(one, other) for one, other in zip(bare, watched, strict=True))
