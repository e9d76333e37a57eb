"""One look at what a model is given: its rows by hashes, its columns by their sums, its tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.columns import distinct_of, scaling_of, sums_of, table_of, tokens_of
from unbug.record.rows_seen import row_hashes

__all__ = ["InputLook", "look_at"]

_COPIED = 65_536


@dataclass(frozen=True, slots=True)
class InputLook:
    """What one look at an input gave; a part that does not apply is empty."""

    rows: int
    step: int
    hashes: NDArray[np.uint64] | None
    storage_rows: int = 0
    by: str = ""
    shape: tuple[int, ...] = ()
    table: NDArray[np.float64] | None = None
    sums: tuple[int, int, list[float]] | None = None
    scaling: str = ""
    distinct: tuple[int, bool] | None = None
    tokens: dict[str, Any] | None = None


def look_at(tensor: torch.Tensor, step: int) -> InputLook:
    """Read an input that can be read at once."""
    hashes = row_hashes(tensor if tensor.is_contiguous() else _first(tensor))
    storage = tensor.untyped_storage().size() // (tensor.element_size() * max(tensor[0].numel(), 1))
    look = InputLook(len(tensor), step, hashes, storage if hashes is not None else 0)
    found = table_of(tensor)
    if found is None:
        return replace(look, tokens=tokens_of(tensor))
    by, shape, table = found
    return replace(
        look, by=by, shape=shape, table=table, sums=(table.shape[1], len(table), sums_of(table)),
        scaling=scaling_of(table, rows=len(tensor)), distinct=distinct_of(table),
    )  # fmt: skip


def _first(tensor: torch.Tensor) -> torch.Tensor:
    """The first rows of a tensor with gaps, side by side."""
    rows = max(1, _COPIED // max(tensor[0].numel(), 1))
    with torch.no_grad():
        return tensor.detach()[:rows].contiguous()
