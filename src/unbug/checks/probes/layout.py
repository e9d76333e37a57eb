"""Which dimension of a batch counts examples and which positions, as far as inputs and targets tell."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unbug.checks.probes.contract import NotPossible
from unbug.checks.probes.subject import main_input
from unbug.record import KeptBatch, tensors_in

__all__ = ["Layout", "layout_of", "next_token_dim", "shift_share"]

_SHIFTED, _CONSTANT = 0.98, 0.9


@dataclass(frozen=True, slots=True)
class Layout:
    """Of the main input.

    Args:
        number: Of the main input among the tensors that the model is given.
        batch: Dimension that counts examples; None where it cannot be told.
        time: Dimension that counts positions, where targets are the inputs one position later.
        why: What tells the batch dimension.
    """

    number: int
    batch: int | None
    time: int | None
    why: str


def layout_of(batch: KeptBatch) -> Layout:
    """Tell the dimensions of a batch.

    Raises:
        NotPossible: there is no input with examples.
    """
    number, given = _shifted_input(batch)
    if number >= 0:
        time = next_token_dim(given, batch)
        assert time is not None
        return Layout(number, 1 - time, time, "the targets are the inputs one position later")
    number, given = main_input(batch)
    target = batch.loss.target if batch.loss is not None else None
    if given.dim() == 1:
        return Layout(number, 0, None, "the only dimension")
    if target is not None and target.dim() >= 1:
        here = [dim for dim in (0, 1) if given.shape[dim] == target.shape[0]]
        if target.dim() == 1 or (target.dim() == 2 and target.shape[1] == 1):
            if len(here) == 1:
                return Layout(number, here[0], None, "as many targets")
        elif given.dim() in (2, 4, 5) and here == [0] and given.is_floating_point():
            return Layout(number, 0, None, "as many targets")
    if batch.loader_rows is not None and given.shape[0] == batch.loader_rows != given.shape[1]:
        return Layout(number, 0, None, "the loader's batch")
    if given.dim() in (4, 5) and given.is_floating_point():
        return Layout(number, 0, None, "images")
    return Layout(number, None, None, "")


def _shifted_input(batch: KeptBatch) -> tuple[int, torch.Tensor]:
    for number, (_, tensor) in enumerate(tensors_in((batch.args, dict(batch.kwargs)))):
        if tensor.dim() >= 2 and next_token_dim(tensor, batch) is not None:
            return number, tensor
    return -1, torch.empty(0)


def next_token_dim(given: torch.Tensor, batch: KeptBatch) -> int | None:
    """The dimension along which targets are the inputs one position later; None if there is none."""
    loss = batch.loss
    if loss is None or loss.target is None or min(given.shape[:2], default=0) < 2 or given.shape[0] < 1:
        return None
    target = loss.target
    if target.is_floating_point() != given.is_floating_point():
        return None
    for dim in (1, 0):
        share = shift_share(given, target, dim)
        if share is not None and share >= _SHIFTED:
            same = given.narrow(dim, 1, given.shape[dim] - 1) == given.narrow(dim, 0, given.shape[dim] - 1)
            if float(same.float().mean()) < _CONSTANT:
                return dim
    return None


def shift_share(given: torch.Tensor, target: torch.Tensor, dim: int) -> float | None:
    """Share of targets that equal the input one position later; None where the sizes do not allow it."""
    length = given.shape[dim]
    if length < 3:
        return None
    later = given.narrow(dim, 1, length - 1)
    if target.numel() == given.numel():
        aligned = target.reshape(given.shape).narrow(dim, 0, length - 1)
    elif target.numel() == later.numel():
        aligned = target.reshape(later.shape)
    else:
        return None
    counted = aligned >= 0 if not aligned.is_floating_point() else torch.ones_like(aligned, dtype=torch.bool)
    if int(counted.sum()) < 8:
        return None
    return float((aligned == later)[counted].float().mean())


def need_batch(layout: Layout) -> int:
    """The batch dimension.

    Raises:
        NotPossible: it is not known.
    """
    if layout.batch is None:
        raise NotPossible("which dimension counts examples cannot be told")
    return layout.batch
