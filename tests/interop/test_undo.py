"""When watching ends nothing of it is left in any library; and Dynamo breaks graphs where it does bare."""

from __future__ import annotations

import importlib
import sys
from types import FunctionType

import pytest
import torch

from tests.interop.collecting import Collected
from unbug.hooks.late import innermost

# Hydra brings a plug-in for pytest, which rewrites its asserts: its source here is not what runs elsewhere.
LIBRARIES = (
    "tensorboardX", "torch.utils.tensorboard", "wandb", "mlflow", "trackio", "lightning.pytorch",
    "lightning.fabric", "transformers.trainer", "transformers.hf_argparser", "accelerate", "omegaconf",
    "safetensors.torch",
)  # fmt: skip


def function_of(name: str) -> FunctionType:
    """The function that a row of the table names."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:end]))
        if module is not None:
            break
    found = module
    for part in parts[end:]:
        found = getattr(found, part)
    return innermost(found, ".".join(parts[end:]))


@pytest.mark.slow
def test_every_library_is_tapped_and_then_as_it_was():
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("torch.distributed.checkpoint")
    finders = list(sys.meta_path)
    first = Collected().watching()
    first.install()
    rows = [row for row in first._late.patches() if not row.name.startswith("hydra.")]
    names = [row.name for row in rows]
    refused = [(row.name, row.reason) for row in rows if not row.installed]
    tapped = {name: function_of(name).__code__ for name in names}
    first.close()
    bare = {name: function_of(name).__code__ for name in names}
    assert refused == []
    assert len(names) > 60
    assert all(bare[name] is not tapped[name] for name in names)
    assert sys.meta_path == finders
    again = Collected().watching()
    again.install()
    again.close()
    assert {name: function_of(name).__code__ for name in names} == bare
    assert all(bare[name] is function_of(name).__code__ for name in names)


def test_what_is_logged_afterwards_is_not_told(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    collected = Collected()
    watching = collected.watching()
    watching.install()
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("a", 1.0, 0)
        watching.close()
        writer.add_scalar("a", 2.0, 1)
    assert collected.rows == [("tensorboard", "a", 1.0, 0)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning")
def test_graphs_break_where_they_break_bare(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    model = torch.nn.Linear(2, 2)
    writer = SummaryWriter(tmp_path)

    def step(x):
        y = model(x).relu()
        writer.add_scalar("a", 1.0, 0)
        model.load_state_dict(model.state_dict())
        return y.sum() * 2

    def explained():
        torch._dynamo.reset()
        found = torch._dynamo.explain(step)(torch.ones(3, 2))
        return found.graph_count, found.graph_break_count, found.op_count

    bare = explained()
    collected = Collected()
    watching = collected.watching()
    watching.install()
    try:
        watched = explained()
    finally:
        watching.close()
        torch._dynamo.reset()
    assert watched == bare
    assert collected.faults == []
    writer.close()
