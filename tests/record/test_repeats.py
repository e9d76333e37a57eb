"""A batch that never changes is told with the larger set that the program's variables hold."""

import numpy as np
import pytest
import torch
from torch import nn

from unbug.hooks import user_scopes
from unbug.record.holdings import hashes_of, holds_samples, named_tables


def fit(batch, target, *, steps=24, width=6):
    net = nn.Linear(width, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for step in range(steps):
        loss = (net(batch(step)) - target(step)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_batch_picked_anew_is_told(record):
    rows = np.random.default_rng(0).normal(size=(200, 6))
    index = np.arange(16)
    with record() as writer:
        fit(lambda step: torch.tensor(rows[index], dtype=torch.float32), lambda step: rows[0, 0], steps=5)
        net, optimizer = (net := nn.Linear(6, 1)), torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(24):
            batch = torch.tensor(rows[index], dtype=torch.float32)
            loss = net(batch).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    (told,) = writer.told("repeated")
    assert (told["rows"], told["whole"], told["held"], told["looked_at"]) == (16, 200, False, 20)
    assert told["fresh"] == 19 and told["set"] == "rows"


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_noise_does_not_hide_it(record, noise):
    clean = torch.randn(150, 6)
    net = nn.Linear(6, 6)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with record() as writer:
        for step in range(26):
            x = clean[torch.arange(10)]
            given = x + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
            loss = (net(given) - x).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    (told,) = writer.told("repeated")
    assert (told["whole"], told["held"], told["variable"]) == (150, False, "x" if noise else "")


def test_a_small_set_that_is_kept_is_held(record):
    everything = torch.randn(150, 6)
    few = everything[torch.arange(10)]
    net = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with record() as writer:
        for _ in range(26):
            loss = net(few * 1.0).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert all(told["held"] for told in writer.told("repeated"))


def test_batches_that_differ_are_not_told(record):
    rows = torch.randn(150, 6)
    net = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with record() as writer:
        for step in range(30):
            batch = rows[torch.arange(10) + step]
            loss = net(batch).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert writer.told("repeated") == []


def test_reading_names_leaves_no_trace():
    def inner():
        kept = object()
        return [set(scope) for scope in user_scopes()], kept

    scopes, _ = inner()
    assert {"kept"} <= scopes[0] and "test_reading_names_leaves_no_trace" in scopes[-1]

    def careful():
        before = locals()
        count = len(user_scopes())
        return before, count

    before, _ = careful()
    assert before == {}, "the program's own dictionary stays as it was"


def test_rows_of_all_sizes_have_hashes():
    table = torch.arange(6000.0).reshape(3000, 2)
    hashes = hashes_of(table)
    assert len(set(hashes.tolist())) == 3000
    assert (hashes_of(table[::7].double(), like=torch.float32) == hashes[::7]).all()
    assert holds_samples([([1, 2], 0), ([3, 4], 1)], [[3, 4]])
    assert not holds_samples([([1, 2], 0), ([3, 4], 1)], [[3, 5]])


def test_tables_are_found_inside_of_objects():
    class Data:
        def __init__(self):
            self.x = np.zeros((3, 2))

    names = dict(named_tables([{"data": Data(), "pair": (1, torch.ones(2)), "__file__": 3}]))
    assert {"data", "data.x", "pair", "pair[1]"} <= set(names) and "__file__" not in names
