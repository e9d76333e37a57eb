"""How a loader is set up is told once for each, whether the program keeps it or not."""

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, Subset, TensorDataset

from unbug.record.loaders import loader_facts

DATA = TensorDataset(torch.zeros(10, 2))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_and_its_iterator_say_the_same(shuffle):
    loader = DataLoader(Subset(DATA, range(6)), batch_size=3, shuffle=shuffle, drop_last=True)
    facts = loader_facts(loader)
    assert facts == {
        "class": "torch.utils.data.dataloader.DataLoader",
        "num_workers": 0,
        "prefetch_factor": None,
        "batch_size": 3,
        "timeout": 0,
        "persistent_workers": False,
        "pin_memory": False,
        "drop_last": True,
        "sampler": "RandomSampler" if shuffle else "SequentialSampler",
        "shuffle": shuffle,
        "dataset": "Subset",
        "examples": 6,
    }
    other = loader_facts(iter(loader))
    assert {name for name in facts if facts[name] != other[name]} <= {"class", "persistent_workers"}


def test_a_data_set_of_the_program_is_not_asked_for_its_length():
    class Loud(torch.utils.data.Dataset):
        def __len__(self):
            raise AssertionError("called")

        def __getitem__(self, index):
            return torch.zeros(1)

    loader = DataLoader(Loud(), sampler=RandomSampler(range(4)))
    assert loader_facts(loader)["examples"] is None
    assert loader_facts(object.__new__(type("Own", (), {})))["num_workers"] is None
