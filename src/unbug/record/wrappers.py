"""Wrappers that stand between a module and the name its author gave it."""

from __future__ import annotations

import torch

__all__ = ["children", "unwrap"]

_EDGES = {
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "AveragedModel": "module",
    "OptimizedModule": "_orig_mod",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "OffloadWrapper": "_checkpoint_wrapped_module",
    "DeepSpeedEngine": "module",
    "PeftModel": "base_model",
    "BaseTuner": "model",
    "BaseTunerLayer": "base_layer",
    "_LightningModuleWrapperBase": "_forward_module",
}
"""Class name (of the class or a base) and the attribute that holds the wrapped module."""


def _edge(module: torch.nn.Module) -> str | None:
    for kind in type(module).__mro__:
        name = _EDGES.get(kind.__name__)
        if name is not None and name in module._modules:
            return name
    return None


def unwrap(module: torch.nn.Module) -> torch.nn.Module:
    """The module inside all wrappers around it."""
    while (name := _edge(module)) is not None:
        inner = module._modules[name]
        if inner is None:
            break
        module = inner
    return module


def children(module: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """Child modules with the name each adds to the path: an empty one for what a wrapper wraps."""
    edge = _edge(module)
    return [
        ("" if name == edge else name, child) for name, child in module._modules.items() if child is not None
    ]
