"""Graphs of earlier steps that a program keeps alive."""

import gc
import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unbug.hooks import graph_clock
from unbug.record.kept import KeptGraphs, _old_nodes, _starts, resident_bytes, used_bytes


@pytest.fixture
def growing(monkeypatch):
    """Memory that grows at every look, however much of it earlier tests had left free."""
    memory = iter(range(10**8, 10**10, 10**8))
    monkeypatch.setattr("unbug.record.kept.used_bytes", lambda: next(memory))


def fit(*, keep, steps=60, retain=False):
    model = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 512))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        out = model(torch.randn(128, 512))
        loss = F.mse_loss(out, torch.zeros(128, 512))
        optimizer.zero_grad()
        loss.backward(retain_graph=retain)
        optimizer.step()
        keep(loss, out)


def test_losses_with_their_history(record):
    kept = []
    with record() as writer:
        fit(keep=lambda loss, out: kept.append(loss), retain=True)
    looks = writer.told("graphs")
    assert looks, "memory grew, so that the heap was searched"
    assert looks[-1]["old_nodes"] >= 20 * 4, "all nodes of the first 20 steps but the leaves"
    assert looks[-1]["used_bytes"] > looks[-1]["used_start_bytes"]
    counts = [look["old_nodes"] for look in looks]
    assert counts == sorted(counts) and len(counts) >= 2


def test_one_sum_holds_them_all(record, growing):
    total = [torch.zeros(())]

    def add(loss, out):
        total[0] = total[0] + loss + out.sum()

    with record() as writer:
        fit(keep=add, retain=True)
    assert writer.told("graphs")[-1]["old_nodes"] >= 60


def test_what_is_kept_without_history_is_no_graph(record, growing):
    gc.collect()  # graphs that other tests left in cycles
    left, _ = _old_nodes(_starts(), graph_clock())  # and those that something still holds
    kept = []
    with record() as writer:
        fit(keep=lambda loss, out: kept.append(out.detach().clone()))
    looks = writer.told("graphs")
    assert looks and all(look["old_nodes"] <= left for look in looks), (
        "memory grew, and no graph is the reason"
    )


def test_a_program_whose_memory_does_not_grow_is_not_searched(record, monkeypatch):
    monkeypatch.setattr("unbug.record.kept.used_bytes", lambda: 10**9)
    with record() as writer:
        fit(keep=lambda loss, out: None)
    assert writer.told("graphs") == []


@pytest.mark.parametrize("keep", ["history.append(loss)", "history += [loss]"])
def test_the_variable_that_holds_them_and_its_line(tmp_path, monkeypatch, growing, keep):
    script = tmp_path / "train.py"
    script.write_text(f"history = []\nfor loss in losses():\n    {keep}\n")
    main = types.ModuleType("__main__")
    main.__file__, main.history = str(script), []
    weight = torch.ones(3, requires_grad=True)
    looks, kept = KeptGraphs(), []
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "__main__", main)
        for step in (2, 5, 10, 20):
            kept.append(looks.look(step))
            main.history.append((weight * 2).sum())
    assert kept[:2] == [None, None]
    assert kept[2]["since"] == 5 and kept[3]["since"] == 10
    assert (kept[3]["holder"], kept[3]["file"], kept[3]["line"]) == ("history", str(script), 3)
    assert kept[3]["old_nodes"] == kept[2]["old_nodes"] + 2


def test_memory_of_this_process(tmp_path):
    assert resident_bytes() > 10**7
    assert resident_bytes(tmp_path / "none") is None
    (tmp_path / "odd").write_text("what")
    assert resident_bytes(tmp_path / "odd") is None


def test_memory_in_use_grows_where_free_memory_is_used_again():
    kept = [torch.ones(50_000) for _ in range(200)]
    barrier = torch.ones(1000)  # behind them: what is freed stays with the process
    full, resident = used_bytes(), resident_bytes()
    del kept
    free = used_bytes()
    assert full - free >= 30_000_000
    again = [torch.ones(50_000) for _ in range(200)]
    assert used_bytes() - free >= 30_000_000
    assert resident_bytes() - resident < 10_000_000
    assert len(again) == 200 and len(barrier) == 1000


def test_without_the_c_librarys_word_the_resident_size_counts(monkeypatch):
    monkeypatch.setattr("unbug.record.kept._given_out", lambda: None)
    assert used_bytes() == pytest.approx(resident_bytes(), rel=0.05)
