"""How a data loader is set up, read from what it holds: nothing of it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["loader_facts"]

_ITERATOR = (
    "prefetch_factor", "num_workers", "timeout", "pin_memory", "drop_last", "persistent_workers", "dataset",
)  # fmt: skip
"""What an iterator keeps of its loader, with an underscore in front."""
_NUMBERS = ("num_workers", "prefetch_factor", "batch_size", "timeout")
_SWITCHES = ("persistent_workers", "pin_memory", "drop_last")
_SHUFFLED = {"RandomSampler": True, "SequentialSampler": False}
_LENGTHS = ("TensorDataset", "Subset", "list", "tuple")


def loader_facts(loader: Any) -> dict[str, Any]:
    """The `loader` event. What a loader of another make does not have is null.

    Args:
        loader: Or its iterator, where the program has let go of the loader itself.
    """
    held = getattr(loader, "__dict__", {})
    if "_index_sampler" in held:
        held = _of_iterator(held)
    kind = type(loader)
    facts: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}"}
    for name in _NUMBERS:
        value = held.get(name)
        facts[name] = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    for name in _SWITCHES:
        value = held.get(name)
        facts[name] = value if isinstance(value, bool) else None
    sampler = held.get("sampler")
    facts["sampler"] = None if sampler is None else type(sampler).__name__
    facts["shuffle"] = _SHUFFLED.get(type(sampler).__name__)
    dataset = held.get("dataset")
    facts["dataset"] = None if dataset is None else type(dataset).__name__
    facts["examples"] = _length(dataset)
    return facts


def _length(dataset: Any) -> int | None:
    """Of a data set whose length is known without calling the program."""
    kind = type(dataset)
    if kind.__name__ not in _LENGTHS or kind.__module__ not in ("builtins", "torch.utils.data.dataset"):
        return None
    if kind.__name__ == "Subset":
        indices = vars(dataset).get("indices")
        return len(indices) if type(indices) in (list, tuple, range) else None
    if kind.__name__ == "TensorDataset":
        tensors = vars(dataset).get("tensors")
        return int(tensors[0].shape[0]) if tensors else None
    return len(dataset)


def _of_iterator(held: Mapping[str, Any]) -> dict[str, Any]:
    batches = vars(held["_index_sampler"]) if hasattr(held["_index_sampler"], "__dict__") else {}
    found = {name: held[f"_{name}"] for name in _ITERATOR if f"_{name}" in held}
    return {**found, "sampler": batches.get("sampler"), "batch_size": batches.get("batch_size")}
