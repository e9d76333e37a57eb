"""Does the model know the targets of rows from those of other rows? Its loss on both is compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch, tensors_in

__all__ = ["own_targets"]

_ORDERS, _MOST_BATCHES, _LEAST_ROWS = 12, 4, 8


def own_targets(subject: Subject, batches: Sequence[KeptBatch], clock: Clock) -> tuple[float, int] | None:
    """How much better the model is at the targets of its rows than at those of other rows.

    Returns:
        By how many standard deviations of chance, over all batches together, and their rows; None where no
        batch has targets that can be exchanged.
    """
    model, draw = subject.model(), torch.Generator().manual_seed(20090201)
    gap = variance = 0.0
    rows = 0
    for batch in list(batches)[-_MOST_BATCHES:]:
        clock.check()
        target = batch.loss.target if batch.loss is not None else batch.labels
        if target is None and batch.loss is None:
            target = batch.wanted
        if (
            target is None
            or not target.dim()
            or len(target) < _LEAST_ROWS
            or bool((target == target[0]).all())
        ):
            continue
        try:
            with torch.no_grad():
                output = subject.call(model, batch)
                found = [_worth(subject, output, batch, target)]
                inside = _inside(batch)
                count = (
                    len(target) if batch.loss is None or not batch.longest else batch.rows or batch.longest
                )
                per = len(target) // count if count and len(target) % count == 0 else 1
                for _ in range(_ORDERS):
                    order = torch.randperm(len(target) // per, generator=draw)
                    index = (order[:, None] * per + torch.arange(per)).reshape(-1)
                    if inside is None:
                        found.append(_worth(subject, output, batch, target[index]))
                    else:
                        number, given = inside
                        order = torch.randperm(len(given), generator=draw)
                        other = subject.call(model, batch, {number: given[order]})
                        found.append(float(subject.loss(other, batch)))
        except NotPossible:
            continue
        values = np.asarray(found)
        if not np.isfinite(values).all():
            continue
        gap += float(values[1:].mean() - values[0])
        variance += float(values[1:].var(ddof=1))
        rows += len(target)
    if not rows or variance <= 0:
        return None
    return gap / variance**0.5, rows


def _worth(subject: Subject, output: object, batch: KeptBatch, target: torch.Tensor) -> float:
    """The loss, or the share of wrong answers where only labels are known."""
    if batch.loss is not None:
        return float(subject.loss(output, batch, target=target))
    given = subject.predictions(output, batch)
    if target.is_floating_point():
        if given.numel() != target.numel():
            raise NotPossible("the output has another form than what is wanted")
        return -_agreement(given.reshape(target.shape).double(), target.double())
    if given.dim() == 2 and given.shape[1] > 1 and len(given) == len(target):
        return float((given.argmax(1) != target).double().mean())
    raise NotPossible("the output is no score for each class")


def _inside(batch: KeptBatch) -> tuple[int, torch.Tensor] | None:
    """Number and tensor of the argument that holds the targets, where the model computes the loss itself.

    Raises:
        NotPossible: there is none, or more than one that may.
    """
    if batch.loss is None or batch.loss.link is not None:
        return None
    target = batch.loss.target
    tensors = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))]
    last = len(tensors) - 1
    if target is None or last < 1:
        raise NotPossible("the model is not given its targets by themselves")
    found = [
        (number, one)
        for number, one in enumerate(tensors)
        if number and one.dtype == target.dtype and one.numel() == target.numel()
        and bool((one.reshape(-1) == target.reshape(-1)).all())
    ]  # fmt: skip
    if len(found) != 1:
        raise NotPossible("the model is not given its targets by themselves")
    return found[0]


def _agreement(one: torch.Tensor, other: torch.Tensor) -> float:
    """Correlation, or the mean of it over columns."""
    one, other = one - one.mean(0), other - other.mean(0)
    scale = (one.square().sum(0) * other.square().sum(0)).sqrt()
    return float(((one * other).sum(0) / scale.clamp_min(1e-12)).mean())
