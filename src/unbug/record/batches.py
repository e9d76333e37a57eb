"""What the program trains on: shapes, types, ranges, labels and fingerprints of a batch, now and then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from unbug.record.core import Core
from unbug.record.tensors import reason_unseen

__all__ = ["Batches", "fingerprints"]

_FIRST = 20
_AT = frozenset(mantissa * 10**power for power in range(1, 10) for mantissa in (1, 2, 5))
_ROWS, _ROW_BYTES = 4, 16_384
_ELEMENTS = 1 << 20
_MOST_TENSORS = 8
_MOST_LABELS = 1000


class Batches:
    """Writes `batch` events: of the first batches each, then at counts that grow by factors."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._counts: dict[tuple[str, bool, int], int] = {}

    def due(self, source: str, grad: bool) -> bool:
        """Count a batch; true if it is one to look at."""
        key = (source, grad, self._core.number())
        count = self._counts.get(key, 0)
        self._counts[key] = count + 1
        return count < _FIRST or count in _AT

    def look(self, source: str, batch: Any, *, grad: bool) -> None:
        """Tell of a batch.

        Args:
            source: `loader`, or `model` for what a root module was given.
        """
        tensors: list[tuple[str, torch.Tensor]] = []
        _gather(batch, "", tensors)
        if tensors:
            entries = [_describe(name, tensor) for name, tensor in tensors[:_MOST_TENSORS]]
            self._core.event("batch", {"source": source, "grad": grad, "tensors": entries})


def fingerprints(tensor: torch.Tensor) -> list[str]:
    """Hashes of the first rows: equal ones mean equal rows. Empty where reading would wait for a device."""
    if reason_unseen(tensor) or tensor.device.type != "cpu" or not tensor.dim() or not tensor.numel():
        return []
    found = []
    for row in tensor.detach()[:_ROWS]:
        flat = row.reshape(-1)
        kept = max(1, _ROW_BYTES // flat.element_size())
        data = flat[:kept].contiguous().view(torch.uint8).numpy().tobytes()
        found.append(hashlib.blake2b(data, digest_size=8).hexdigest())
    return found


def _gather(value: Any, name: str, found: list[tuple[str, torch.Tensor]], depth: int = 3) -> None:
    if len(found) >= _MOST_TENSORS:
        return
    if isinstance(value, torch.Tensor):
        found.append((name, value))
    elif depth and isinstance(value, Mapping):
        for key, part in value.items():
            _gather(part, f"{name}.{key}" if name else str(key), found, depth - 1)
    elif depth and isinstance(value, (tuple, list)):
        for index, part in enumerate(value):
            _gather(part, f"{name}.{index}" if name else str(index), found, depth - 1)


def _describe(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "device": tensor.device.type,
    }
    if reason_unseen(tensor) or tensor.device.type != "cpu" or not tensor.numel():
        return entry
    with torch.no_grad():
        values = tensor.detach()
        entry["fingerprints"] = fingerprints(values)
        if values.dtype == torch.bool:
            values = values.to(torch.uint8)
        if values.numel() > _ELEMENTS:
            values = values[: max(1, _ELEMENTS * len(values) // values.numel())]
        low, high = torch.aminmax(values)
        entry["min"], entry["max"] = low.item(), high.item()
        if values.is_floating_point():
            entry["mean"] = values.mean(dtype=torch.float64).item()
            entry["std"] = values.std(correction=0).item() if values.dtype != torch.float16 else None
            entry["nonfinite"] = int(values.numel() - torch.isfinite(values).sum())
        elif values.dim() <= 2 and entry["min"] >= 0 and entry["max"] < _MOST_LABELS:
            entry["histogram"] = torch.bincount(values.reshape(-1).to(torch.int64)).tolist()
    return entry
