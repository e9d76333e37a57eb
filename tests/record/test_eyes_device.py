"""Looks at gradients and inputs on a device: no operator waits for it, none gives a number to the host.

No device is at hand where these tests run; tensors are fake ones that know their device and have no values.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from unbug.record import inputs, pairs
from unbug.record.inputs import feature_sums
from unbug.record.pairs import GradientPairs, Sample


class Names(TorchDispatchMode):
    """Keeps the names of operators."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function._schema.name.removeprefix("aten::"))
        return function(*args, **(kwargs or {}))


WAITING = {
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "nonzero",
    "index",
    "masked_select",
    "equal",
    "mm",
    "bmm",
}


@pytest.fixture
def fake(monkeypatch):
    for module in (inputs, pairs):
        monkeypatch.setattr(module, "reason_unseen", lambda tensor: "")
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def test_fake_tensors_refuse_to_be_read(fake):
    with pytest.raises(DataDependentOutputException):
        torch.ones((), device="cuda").item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features_stay_on_the_device(fake, dtype):
    batch = torch.empty(64, 30, device="cuda", dtype=dtype)
    with Names() as names:
        shape, rows, sums = feature_sums(batch)
    assert (shape, rows, sums.shape, sums.device.type) == ((30,), 64, (210,), "cuda")
    assert names.seen and not WAITING & set(names.seen)


def test_pairs_of_gradients_stay_on_the_device(fake):
    parameters = [torch.empty(size, device="cuda", requires_grad=True) for size in (5000, 40, 7)]
    gradients = {id(one): torch.empty_like(one) for one in parameters}
    known = GradientPairs(Sample(parameters))
    with Names() as names:
        take = known.sample.take
        known.begins(3, take(lambda one: gradients[id(one)]), take(lambda one: one))
        known.made(take(lambda one: one))
        assert known.awaits(4) and not known.awaits(5)
        products = known.products(take(lambda one: gradients[id(one)]))
    assert products.device.type == "cuda" and products.shape == (9,)
    assert not WAITING & set(names.seen)
    assert sum(name == "_to_copy" for name in names.seen) <= 40
