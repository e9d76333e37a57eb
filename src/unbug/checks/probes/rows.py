"""Examples of the kept batches as rows of numbers with their targets, each once; and their neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.subject import main_input
from unbug.record import KeptBatch

__all__ = ["Rows", "nearest", "rows_of", "scaled", "structure"]

Floats = NDArray[np.float64]
_ALIKE_COLUMNS, _ALIKE, _FLOOR = 16, 10.0, 0.5
_MOST_ROWS, _MOST_COLUMNS, _CHUNK = 2048, 1024, 256


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples.

    Args:
        values: `(rows, columns)`; of wide examples an even sample of the columns.
        labels: `(rows,)` class of each, or None where the targets are no classes.
        numbers: `(rows,)` target of each, where that is one number; or None.
        pure_batches: Share of the batches that hold one class only.
        again: Share of the rows that had come before, and were left out.
    """

    values: Floats
    labels: NDArray[np.int64] | None
    numbers: Floats | None
    pure_batches: float
    again: float

    def __len__(self) -> int:
        return len(self.values)


def rows_of(batches: Iterable[KeptBatch], *, targets: bool = True) -> Rows:
    """Gather the examples of batches, the first ones first.

    Args:
        targets: Whether only examples with a target of their own count.
    Raises:
        NotPossible: the inputs are not rows of numbers, or their targets are not one for each.
    """
    values: list[torch.Tensor] = []
    answers: list[torch.Tensor] = []
    pure = seen = 0
    kinds: set[str] = set()
    for batch in batches:
        try:
            _, given = main_input(batch)
        except NotPossible:
            continue
        if not given.is_floating_point() or given.dim() < 2:
            raise NotPossible("the inputs are no rows of numbers")
        answer = _answers(batch, len(given), kinds)
        if answer is None and targets:
            continue
        if values and given[0].numel() != values[0].shape[1]:
            continue
        seen += 1
        values.append(given.reshape(len(given), -1).double())
        if answer is not None:
            answers.append(answer)
            pure += bool((answer == answer[0]).all())
    if not values or len(kinds) > 1 or (targets and not answers):
        raise NotPossible("no rows of numbers with one target each were kept")
    table = torch.cat(values).numpy()
    if not np.isfinite(table).all():
        raise NotPossible("inputs that are not finite")
    _, first = np.unique(table.astype(np.float32), axis=0, return_index=True)
    again = 1 - len(first) / len(table)
    first = np.sort(first)[:_MOST_ROWS]
    table = table[first]
    if table.shape[1] > _MOST_COLUMNS:
        table = table[:, np.arange(_MOST_COLUMNS) * table.shape[1] // _MOST_COLUMNS]
    labels = numbers = None
    if len(answers) == len(values):
        every = torch.cat(answers).double().numpy()[first]
        labels = every.astype(np.int64) if kinds == {"class"} else None
        numbers = every if kinds == {"number"} else None
    return Rows(table, labels, numbers, pure / max(seen, 1), again)


def _answers(batch: KeptBatch, count: int, kinds: set[str]) -> torch.Tensor | None:
    """One target for each example, as a class or a number."""
    loss = batch.loss
    if loss is None and batch.labels is not None and len(batch.labels) == count:
        kinds.add("class")
        return batch.labels.long()
    target = loss.target if loss is not None else None
    if batch.losses > 1:
        return None  # of a mixture of two examples, say, each has its own loss
    if loss is None or target is None or target.dim() == 0 or len(target) != count:
        return None
    if target.dim() == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if loss.function in ("cross_entropy", "nll_loss", "multi_margin_loss"):
        if target.dim() == 2 and target.is_floating_point():
            target = target.argmax(1)
        if target.dim() != 1 or target.is_floating_point() or bool((target < 0).any()):
            return None
        if count > 2 and bool((target == torch.arange(count)).all()):
            return None  # each example is its own class: a contrastive loss
        kinds.add("class")
        return target
    if target.dim() != 1:
        return None
    if loss.function.startswith("binary_cross_entropy"):
        kinds.add("class")
        return (target > 0.5).long()
    if loss.function in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        kinds.add("number")
        return target
    return None


def scaled(rows: Floats, like: Floats) -> Floats:
    """Columns with the mean and deviation of `like` taken out; constant ones become 0.

    Columns of one unit (pixels, samples of a signal) keep what makes some of them nearly constant: their
    noise is not blown up.
    """
    mean, std = like.mean(0), like.std(0)
    middle = float(np.median(std))
    if len(std) >= _ALIKE_COLUMNS and float(np.quantile(std, 0.9)) < _ALIKE * middle:
        std = np.where(std > 0, np.maximum(std, _FLOOR * middle), 0.0)
    return np.asarray(np.where(std > 1e-9, (rows - mean) / np.where(std > 1e-9, std, 1.0), 0.0))


def nearest(
    rows: Floats, among: Floats, count: int, clock: Clock, *, same: bool
) -> tuple[NDArray[np.int64], Floats]:
    """The nearest rows among others, by Euclidean distance.

    Args:
        same: Both are the same rows, and none is its own neighbour.
    Returns:
        `(rows, count)` indices and distances, the nearest first.
    """
    lengths = (among * among).sum(1)
    found, apart = [], []
    for start in range(0, len(rows), _CHUNK):
        clock.check()
        part = rows[start : start + _CHUNK]
        squares = (part * part).sum(1)[:, None] + lengths[None] - 2 * part @ among.T
        if same:
            squares[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        index = np.argpartition(squares, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(squares, index, 1).argsort(1)
        index = np.take_along_axis(index, order, 1)
        found.append(index)
        apart.append(np.sqrt(np.maximum(np.take_along_axis(squares, index, 1), 0.0)))
    return np.concatenate(found), np.concatenate(apart)


def structure(table: Floats) -> float:
    """Effective number of independent columns over what unrelated columns would have; 1 if unrelated."""
    columns = table[:, table.std(0) > 0][:, :256]
    rows, count = columns.shape
    if count < 2:
        return 1.0
    values = np.linalg.svd(columns / np.sqrt(rows), compute_uv=False) ** 2
    effective = float(values.sum() ** 2 / (values * values).sum())
    return float(effective / (count * rows / (count + rows)))
