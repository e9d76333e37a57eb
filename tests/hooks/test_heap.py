"""Modules and optimizers that lived before anybody watched are found, in one look."""

from __future__ import annotations

import gc

import torch
from torch import nn

from unbug.hooks import living
from unbug.hooks.heap import one_look


class Own(nn.Linear):
    pass


def test_instances_of_subclasses_are_found_and_nothing_else() -> None:
    model = nn.Sequential(Own(2, 2), nn.ReLU())
    optimizer = torch.optim.AdamW(model.parameters())
    modules, optimizers = living(nn.Module), living(torch.optim.Optimizer)
    assert {id(model), id(model[0]), id(model[1])} <= set(map(id, modules))
    assert any(one is optimizer for one in optimizers)
    assert all(isinstance(one, nn.Module) for one in modules)
    assert all(isinstance(one, torch.optim.Optimizer) for one in optimizers)


def test_one_look_serves_all_who_ask_and_keeps_nothing_alive(monkeypatch) -> None:
    looks = []
    look = gc.get_objects
    monkeypatch.setattr(gc, "get_objects", lambda: looks.append(1) or look())
    with one_look():
        living(nn.Module), living(torch.optim.Optimizer)
        with one_look():
            living(nn.Module)
    assert len(looks) == 1
    living(nn.Module)
    assert len(looks) == 2
    monkeypatch.undo()
    kept = nn.Linear(1, 1)
    with one_look():
        living(nn.Module)
    assert not any(isinstance(one, list) and kept in one for one in gc.get_referrers(kept))
