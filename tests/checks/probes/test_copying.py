"""A copy of a model does what the model does, or there is none."""

import functools

import pytest
import torch
from torch import nn

from unbug.checks.probes.contract import NotPossible
from unbug.checks.probes.copying import copy_of


class Block(nn.Module):
    """Its forward goes through a function that it holds."""

    def __init__(self, how):
        super().__init__()
        parts = nn.ModuleDict({"first": nn.Linear(4, 4), "drop": nn.Dropout(0.5)})
        self.parts = parts
        if how == "closure":
            self.run = lambda x: parts["drop"](parts["first"](x))
        elif how == "default":
            self.run = lambda x, parts=parts: parts["drop"](parts["first"](x))
        elif how == "partial":
            self.run = functools.partial(Block.through, parts)
        elif how == "method":
            self.run = self.over
        else:
            self.run = torch.relu

    @staticmethod
    def through(parts, x):
        return parts["drop"](parts["first"](x))

    def over(self, x):
        return Block.through(self.parts, x)

    def forward(self, x):
        return self.run(x)


@pytest.mark.parametrize("how", ["closure", "default"])
def test_a_function_over_the_original_is_refused(how):
    """Its copy would run the original's layers, in the original's mode."""
    with pytest.raises(NotPossible, match="function over a module"):
        copy_of(nn.Sequential(Block(how)), most_bytes=10**6)


@pytest.mark.parametrize("how", ["partial", "method", "plain"])
def test_other_callables_are_copied_with_what_they_hold(how):
    torch.manual_seed(0)
    model = nn.Sequential(Block(how)).train()
    copy, x = copy_of(model, most_bytes=10**6).eval(), torch.randn(8, 4)
    assert torch.equal(copy(x), copy(x)), "the copy is in evaluation mode, all of it"
    assert model.training and model[0].parts["drop"].training
