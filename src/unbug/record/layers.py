"""How the layers of a training are set up, and what its weights are like at the start: the `layers` event."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from torch import nn

from unbug.record.places import Map
from unbug.record.roots import same
from unbug.record.watched import Watched
from unbug.types import Place

__all__ = ["equal_at_start", "layers_of"]

_MOST = 400
_SAMPLE = 16_384
_OPTIONS: tuple[tuple[type[nn.Module], tuple[str, ...]], ...] = (
    (nn.modules.dropout._DropoutNd, ("p",)),
    (nn.modules.batchnorm._NormBase, ("momentum", "eps", "affine", "track_running_stats", "num_features")),
    (nn.Embedding, ("padding_idx", "num_embeddings", "embedding_dim")),
    (nn.RNNBase, ("batch_first", "dropout", "bidirectional", "num_layers", "hidden_size", "input_size")),
    (nn.MultiheadAttention, ("batch_first", "dropout", "num_heads", "embed_dim")),
    (nn.Softmax, ("dim",)),
    (nn.LogSoftmax, ("dim",)),
)


def layers_of(watched: Watched) -> dict[str, Any] | None:
    """Fields of the event, taken before the first step changes a weight; None where nothing has a name."""
    if watched.map is None:
        return None
    modules = list(_modules(watched))
    return {
        "layers": [found for path, module in modules[: 4 * _MOST] if (found := _options(path, module))][
            :_MOST
        ],
        "weights": [found for path, module in modules for found in _weights(watched, path, module)][:_MOST],
        "repeated": repeated(watched),
        "twins": equal_at_start(watched, watched.map),
    }


def repeated(watched: Watched) -> list[dict[str, Any]]:
    """Modules with weights that one container holds at several positions, or under several names."""
    found = []
    for _, container in _modules(watched, children=True):
        by_child: dict[int, list[str]] = {}
        for name, child in container._modules.items():
            if child is not None:
                by_child.setdefault(id(child), []).append(name)
        for names in by_child.values():
            child = container._modules[names[0]]
            if len(names) < 2 or child is None or not any(True for _ in child.parameters()):
                continue
            place = watched.map.module(child) if watched.map is not None else None
            above = watched.map.module(container) if watched.map is not None else None
            found.append({
                "place": place.path if place is not None else "",
                "container": above.path if above is not None else "",
                "sequential": isinstance(container, nn.Sequential),
                "names": names,
                "numbered": all(name.isdigit() for name in names),
                "of": len(container._modules),
                "class": type(child).__name__,
                "parameters": len(list(child.parameters())),
            })  # fmt: skip
    return found[:_MOST]


def equal_at_start(watched: Watched, found: Map) -> list[dict[str, Any]]:
    """Pairs of an embedding and another matrix of its shape that are apart: equal in value, or not."""
    tables: list[tuple[Place, torch.Tensor]] = []
    others: list[tuple[Place, torch.Tensor]] = []
    for _, module in _modules(watched, children=True):
        for tensor in module._parameters.values():
            place = found.parameter(tensor) if tensor is not None else None
            if tensor is None or place is None or tensor.dim() != 2 or tensor.device.type == "meta":
                continue
            (tables if isinstance(module, nn.Embedding) else others).append((place, tensor))
    pairs = []
    for table_place, table in tables:
        for place, other in others:
            if other is table or other.shape != table.shape or other.device != table.device:
                continue
            part = slice(None, max(_SAMPLE // max(int(table.shape[1]), 1), 1))
            equal = (
                other.device.type == "cpu"
                and bool(torch.equal(table.detach()[part], other.detach()[part]))
                and bool(table.detach()[part].any())
            )
            storage = other.untyped_storage().data_ptr() == table.untyped_storage().data_ptr()
            pairs.append({
                "embedding": table_place.path,
                "other": place.path,
                "equal": equal,
                "one_memory": storage,
                "both_trained": same(watched.training.parameters, table)
                and same(watched.training.parameters, other),
            })  # fmt: skip
    return pairs[:_MOST]


def _modules(watched: Watched, *, children: bool = False) -> Iterator[tuple[str, nn.Module]]:
    """Path and module of all that are in the training; with `children` containers too."""
    if watched.map is None:
        return
    for root in watched.live_roots():
        for module in root.modules():
            place = watched.map.module(module)
            if place is not None and (children or not module._modules or module._parameters):
                yield place.path, module


def _options(path: str, module: nn.Module) -> dict[str, Any] | None:
    for kind, names in _OPTIONS:
        if isinstance(module, kind):
            values = {name: getattr(module, name, None) for name in names}
            plain = {
                n: v for n, v in values.items() if v is None or isinstance(v, int | float | bool | tuple)
            }
            return {"place": path, "class": type(module).__name__, "training": module.training, **plain}
    return None


def _weights(watched: Watched, path: str, module: nn.Module) -> Iterator[dict[str, Any]]:
    """Size of the weights of a layer beside what it is usually initialised with."""
    for name, tensor in module._parameters.items():
        if tensor is None or tensor.dim() < 2 or tensor.device.type != "cpu" or not tensor.numel():
            continue
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            continue
        fan_in = prod(tensor.shape[1:])
        if isinstance(module, nn.modules.conv._ConvTransposeNd):
            fan_in = int(tensor.shape[0]) * prod(tensor.shape[2:])
        if isinstance(module, nn.RNNBase):  # PyTorch makes all of its weights by the size of its state
            fan_in = module.hidden_size
        part = tensor.detach().reshape(-1)[:_SAMPLE]
        deviation, mean = torch.std_mean(part.float(), correction=0)
        yield {
            "place": f"{path}.{name}" if path else name,
            "layer": path,
            "class": type(module).__name__,
            "elements": tensor.numel(),
            "fan_in": fan_in,
            "std": float(deviation),
            "mean": float(mean),
            "absmax": float(part.abs().max()),
            "trained": same(watched.training.parameters, tensor) and tensor.requires_grad,
            "requires_grad": tensor.requires_grad,
        }
