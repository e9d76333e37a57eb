"""Examples of kept batches with their targets, whatever their form: rows of numbers, tokens, maps, tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record import KeptBatch, row_hashes, tensors_in

__all__ = ["Pairs", "different", "kept_pairs", "target_of", "views_of", "wanted_of"]

_MOST_ROWS = 1024
_MOST_COLUMNS, _MOST_WORDS, _MOST_CODED, _MOST_LEVELS = 1024, 512, 2048, 8

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_CLASSIFY = ("cross_entropy", "nll_loss", "multi_margin_loss")


@dataclass(frozen=True, slots=True)
class Pairs:
    """One batch, row by row.

    Args:
        batch, index: Where the rows come from.
        inputs: One number for each row, equal where all that the model was given of it is equal.
        targets: The same of the targets.
        numbers: `(rows, columns)`: inputs that are numbers, side by side; or None.
        tokens: `(rows, positions)` of whole numbers, -1 where there is none; or None.
        wanted: `(rows, columns)` of the targets.
        classes: `(rows,)` if each row has one class.
        is_pure: Whether all targets are alike.
    """

    batch: KeptBatch
    index: Integers
    inputs: Integers
    targets: Integers
    numbers: Floats | None
    tokens: Integers | None
    wanted: torch.Tensor
    classes: Integers | None
    is_pure: bool

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, index: Integers) -> Pairs:
        """Some of the rows."""
        return replace(
            self,
            index=self.index[index],
            inputs=self.inputs[index],
            targets=self.targets[index],
            numbers=None if self.numbers is None else self.numbers[index],
            tokens=None if self.tokens is None else self.tokens[index],
            wanted=self.wanted[torch.from_numpy(index)],
            classes=None if self.classes is None else self.classes[index],
        )


def target_of(batch: KeptBatch) -> torch.Tensor | None:
    """What was asked for, `(rows, …)`; None where it is not known, or not one for each example."""
    loss = batch.loss
    if loss is None:
        return batch.labels if batch.labels is not None else batch.wanted
    if batch.losses > 1 or loss.target is None or not loss.target.dim():
        return None
    if loss.arguments.get("reduction") == "none":
        return None  # weighed by hand, by rewards for example
    return loss.target


def _pairs_of(batch: KeptBatch) -> Pairs | None:
    """The rows of one batch; None where inputs and targets cannot be told apart by row."""
    target = target_of(batch)
    if target is None or target.is_complex():
        return None
    given = [one for _, one in tensors_in((batch.args, dict(batch.kwargs))) if one.dim() and one.numel()]
    bags = _bags(given)
    rows = len(bags) if bags is not None else max((len(one) for one in given), default=0)
    if rows < 2:
        return None
    if len(target) != rows:
        if len(target) % rows or target.dim() > 1 or len(target) == 0:
            return None
        target = target.reshape(rows, -1)  # positions of sequences, one behind the other
    if target.is_floating_point() and not bool(torch.isfinite(target).all()):
        return None
    parts = [
        one[:_MOST_ROWS]
        for number, one in enumerate(given)
        if len(one) == rows and not one.is_complex() and not (number and _is_answer(one, target))
    ]
    target, rows = target[:_MOST_ROWS], min(rows, _MOST_ROWS)
    bags = bags[:_MOST_ROWS] if bags is not None else None
    keys = _mixed(parts if bags is None else [torch.from_numpy(bags)])
    answers = _mixed([target])
    if keys is None or answers is None or len(keys) != rows:
        return None
    numbers = _numbers(parts)
    tokens = bags if bags is not None else _tokens(parts)
    if numbers is None and tokens is None:
        return None
    classes = _classes(batch, target)
    if classes is not None and len(classes) > 2 and bool((classes == np.arange(len(classes))).all()):
        return None  # each example is its own class: a contrastive loss
    flat = target.reshape(-1)
    every = np.arange(rows)
    return Pairs(batch, every, keys, answers, numbers, tokens, target, classes, bool((flat == flat[0]).all()))


def _is_answer(one: torch.Tensor, target: torch.Tensor) -> bool:
    """Whether an argument is the target itself: models that compute their loss are given it."""
    return (
        one.dtype == target.dtype
        and one.numel() == target.numel()
        and bool((one.reshape(-1) == target.reshape(-1)).all())
    )


def _classes(batch: KeptBatch, target: torch.Tensor) -> Integers | None:
    loss = batch.loss
    if target.dim() == 2 and target.shape[1] == 1:
        target = target[:, 0]
    if loss is None or loss.function in _CLASSIFY:
        if target.dim() == 2 and target.is_floating_point():
            target = target.argmax(1)
        if target.dim() != 1 or target.is_floating_point():
            return None
        found: Integers = target.long().numpy()
        return found
    if loss.function.startswith("binary_cross_entropy") and target.dim() == 1:
        told: Integers = (target > 0.5).long().numpy()
        return told
    return None


def _mixed(parts: Sequence[torch.Tensor]) -> Integers | None:
    """One number for each row of all parts."""
    total: NDArray[np.uint64] | None = None
    for number, one in enumerate(parts):
        hashes = row_hashes(one.contiguous() if one.dtype != torch.bool else one.to(torch.uint8).contiguous())
        if hashes is None:
            return None
        odd = np.uint64(2 * number + 1)
        total = hashes if total is None else total * np.uint64(0x9E3779B97F4A7C15) + hashes * odd
    return None if total is None else total.view(np.int64)


def _bags(given: Sequence[torch.Tensor]) -> Integers | None:
    """Bags of words given as one long list, with where each begins or ends."""
    if len(given) < 2 or any(one.dim() != 1 or one.is_floating_point() for one in given[:2]):
        return None
    words, bounds = given[0].long().numpy(), given[1].long().numpy()
    if len(bounds) < 2 or len(words) <= len(bounds) or bool((np.diff(bounds) < 0).any()):
        return None
    if bounds[0] == 0:
        bounds = np.append(bounds, len(words)) if bounds[-1] != len(words) else bounds
    elif bounds[-1] == len(words):
        bounds = np.insert(bounds, 0, 0)
    else:
        return None
    made = np.full((len(bounds) - 1, max(int(np.diff(bounds).max()), 1)), -1, np.int64)
    for row, (begin, end) in enumerate(pairwise(bounds.tolist())):
        made[row, : end - begin] = words[begin:end]
    return made


def _numbers(parts: Sequence[torch.Tensor]) -> Floats | None:
    tables = [one.detach().reshape(len(one), -1).double().numpy() for one in parts if one.is_floating_point()]
    if not tables:
        return None
    table = np.concatenate(tables, 1)
    if not np.isfinite(table).all():
        return None
    if table.shape[1] > _MOST_COLUMNS:
        table = table[:, np.arange(_MOST_COLUMNS) * table.shape[1] // _MOST_COLUMNS]
    return table


def _tokens(parts: Sequence[torch.Tensor]) -> Integers | None:
    kept = [
        one.reshape(len(one), -1).long().numpy()
        for one in parts
        if not one.is_floating_point() and one.dtype != torch.bool and one.dim() <= 2
    ]
    return np.concatenate(kept, 1) if kept else None


def views_of(pairs: Sequence[Pairs]) -> list[Floats]:
    """Rows of numbers for each way to look at the inputs."""
    views = []
    if all(one.numbers is not None for one in pairs):
        tables = [one.numbers for one in pairs if one.numbers is not None]
        if len({one.shape[1] for one in tables}) == 1:
            views.append(np.concatenate(tables))
    if all(one.tokens is not None for one in pairs):
        views += _words([one.tokens for one in pairs if one.tokens is not None])
    return views


def _words(tables: Sequence[Integers]) -> list[Floats]:
    """How often each word comes; and where, if there are few words and places."""
    longest = max(one.shape[1] for one in tables)
    table = np.full((sum(len(one) for one in tables), longest), -1, np.int64)
    at = 0
    for one in tables:
        table[at : at + len(one), : one.shape[1]] = one
        at += len(one)
    known, coded = np.unique(table, return_inverse=True)
    coded = coded.reshape(table.shape)
    kinds = len(known)
    folded = coded % _MOST_WORDS
    rows = np.arange(len(table))[:, None]
    counts = np.zeros((len(table), min(kinds, _MOST_WORDS)))
    np.add.at(counts, (np.broadcast_to(rows, folded.shape), folded), 1.0)
    views = [np.sqrt(counts)]
    if kinds * longest <= _MOST_CODED:
        views.append(np.eye(kinds)[coded].reshape(len(table), -1))
    else:
        views.append(np.eye(_MOST_WORDS)[folded[:, :4]].reshape(len(table), -1))
    return views


def wanted_of(pairs: Sequence[Pairs]) -> Floats | None:
    """The targets as columns of numbers; None where their forms differ."""
    if len({one.wanted.shape[1:] for one in pairs}) != 1:
        return None
    if all(one.classes is not None for one in pairs):
        classes = np.concatenate([one.classes for one in pairs if one.classes is not None])
        return _coded(classes[:, None])
    wanted = torch.cat([one.wanted for one in pairs])
    table = wanted.reshape(len(wanted), -1)
    if wanted.is_floating_point():
        made: Floats = table.double().numpy()
        return (
            made[:, np.arange(_MOST_COLUMNS) * made.shape[1] // _MOST_COLUMNS]
            if (made.shape[1] > _MOST_COLUMNS)
            else made
        )
    return _coded(table.long().numpy())


def _coded(table: Integers) -> Floats:
    """How often each class comes in a row; and of few classes where."""
    kinds = np.unique(table)
    kinds = kinds[kinds >= 0]
    if len(kinds) > _MOST_WORDS:
        kinds = kinds[:_MOST_WORDS]
    counts = np.stack([(table == one).sum(1) for one in kinds], 1).astype(np.float64)
    if table.shape[1] > 1 and len(kinds) <= _MOST_LEVELS:
        step = max(1, table.shape[1] // 256)
        return np.concatenate([counts, table[:, ::step].astype(np.float64)], 1)
    return counts


def kept_pairs(batches: Iterable[KeptBatch]) -> list[Pairs]:
    """Those batches that can be told apart by row."""
    return [found for batch in batches if (found := _pairs_of(batch)) is not None]


def different(batches: Iterable[Pairs], most: int) -> list[Pairs]:
    """Each row once, the first ones first."""
    seen: set[int] = set()
    chosen, count = [], 0
    for one in batches:
        fresh = []
        for number, row in enumerate(one.inputs.tolist()):
            if row not in seen and count < most:
                seen.add(row)
                fresh.append(number)
                count += 1
        if fresh:
            chosen.append(one.take(np.asarray(fresh)))
    return chosen
