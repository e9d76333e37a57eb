"""Schedulers that the program steps."""

import torch
from torch import nn
from torch.optim import lr_scheduler


def fit(model, optimizer, scheduler, steps=12):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        scheduler.step()


def test_one_and_how_often(record):
    with record() as writer:
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        fit(model, optimizer, lr_scheduler.CosineAnnealingLR(optimizer, T_max=5))
    told = writer.told("scheduler")
    assert [one["count"] for one in told] == [1, 3, 10, 12]
    assert (
        told[-1]["final"] and told[-1]["class"] == "CosineAnnealingLR" and told[-1]["options"]["T_max"] == 5
    )
    assert told[-1]["stray"] == 0 and told[-1]["line"] > 0


def test_milestones_are_told(record):
    with record() as writer:
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        fit(model, optimizer, lr_scheduler.MultiStepLR(optimizer, [4, 8]), steps=3)
    assert writer.told("scheduler")[-1]["options"]["milestones"] == [4, 8]


def test_of_an_optimizer_that_was_replaced(record):
    with record() as writer:
        model = nn.Linear(4, 2)
        old = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = lr_scheduler.StepLR(old, 5)
        fit(model, old, scheduler, steps=2)
        fit(model, torch.optim.SGD(model.parameters(), lr=0.1), scheduler, steps=20)
    last = writer.told("scheduler")[-1]
    assert last["count"] == 22 and last["stray"] >= 19


def test_two_in_turn_drive_what_steps(record):
    with record() as writer:
        first, second = nn.Linear(4, 4), nn.Linear(4, 2)
        optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (first, second)]
        schedulers = [lr_scheduler.StepLR(one, 5) for one in optimizers]
        for _ in range(12):
            for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
                optimizer.zero_grad()
                second(first(torch.randn(8, 4))).square().mean().backward()
                optimizer.step()
                scheduler.step()
    assert [one["stray"] for one in writer.told("scheduler") if one.get("final")] == [0, 0]
