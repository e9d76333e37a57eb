"""Do examples that lie near each other have the same label?

Where labels belong to other rows, neighbours agree by chance only; where some are wrong at random, every
neighbourhood has the same share of strangers, of all classes alike. What the model itself makes of the
examples tells a hard task from a wrong one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.rows import Rows, nearest, rows_of, scaled, structure
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch

__all__ = ["labels"]

_NEIGHBOURS, _LEAST_ROWS, _LEAST_EVALUATED = 10, 100, 60
_MOST_BATCHES = 12


def labels(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Compare each example's label with those of its nearest neighbours.

    Returns:
        `rows`, `classes`, `chance`, `agreement` (of an example with its nearest neighbour), `vote` (accuracy
        of the vote of ten), `dissent` (mean share of a neighbourhood with another label than its majority),
        `dissent_evenness` (how evenly such labels spread over the other classes, 1 for all alike),
        `pure_share` (neighbourhoods of one label), `pure_expected` (if dissent were random),
        `model_accuracy`, `majority`, `apart` (median distance of neighbours), `structure` (1: columns are
        unrelated, as in made-up noise), `again` (share of rows that came more than once); the same of the
        evaluation with `evaluated_` in front, and `evaluated_by_training` (agreement of its examples with the
        nearest ones of training). For targets that are numbers `correlation` with the neighbours' mean and
        `model_explains`.
    Raises:
        NotPossible: too few rows of numbers with one target each.
    """
    rows = rows_of(subject.kept.small)
    if len(rows) < _LEAST_ROWS:
        raise NotPossible(f"only {len(rows)} different examples were kept")
    table = scaled(rows.values, rows.values)
    found: dict[str, Any] = {"rows": len(rows), "pure_batches": rows.pure_batches, "again": rows.again}
    index, apart = nearest(table, table, _NEIGHBOURS, clock, same=True)
    found["structure"], found["apart"] = structure(table), float(np.median(apart[:, 0]))
    if rows.labels is None:
        if rows.numbers is None:
            raise NotPossible("the targets are neither classes nor numbers")
        found.update(_model(subject, subject.kept.small, clock, ""))
        found["correlation"] = _correlation(rows.numbers, rows.numbers[index[:, :5]].mean(1))
        return found
    found.update(_agreement(rows.labels, index))
    found.update(_model(subject, subject.kept.small, clock, ""))
    try:
        other = rows_of(subject.kept.evaluated)
    except NotPossible:
        return found
    if other.labels is not None and len(other) >= _LEAST_EVALUATED and len(other.values[0]) == len(table[0]):
        found.update(_evaluated(rows, table, other, clock))
        found.update(_model(subject, subject.kept.evaluated, clock, "evaluated_"))
    return found


def _agreement(classes: NDArray[np.int64], index: NDArray[np.int64]) -> dict[str, Any]:
    around = classes[index]
    kinds = int(classes.max()) + 1
    shares = np.bincount(classes, minlength=kinds) / len(classes)
    votes = np.stack([(around == one).sum(1) for one in range(kinds)], 1) if kinds <= 256 else None
    found: dict[str, Any] = {
        "classes": int((shares > 0).sum()),
        "chance": float((shares * shares).sum()),
        "majority": float(shares.max()),
        "agreement": float((around[:, 0] == classes).mean()),
    }
    if votes is None:
        return found
    winner = votes.argmax(1)
    strangers = around != winner[:, None]
    dissent = float(strangers.mean())
    found.update(
        vote=float((winner == classes).mean()),
        dissent=dissent,
        pure_share=float((votes.max(1) == _NEIGHBOURS).mean()),
        pure_expected=float((1 - dissent) ** _NEIGHBOURS),
        dissent_evenness=_evenness(classes, winner, shares),
    )
    return found


def _evenness(
    classes: NDArray[np.int64], winner: NDArray[np.int64], shares: NDArray[np.float64]
) -> float | None:
    """Entropy of the labels that differ from their neighbourhood's, within each, over its maximum."""
    kinds = len(shares)
    total = weight = 0.0
    for one in range(kinds):
        counts = np.bincount(classes[(winner == one) & (classes != one)], minlength=kinds).astype(float)
        size = counts.sum()
        rest = (shares > 0).sum() - 1
        if size < 8 or rest < 2:
            continue
        part = counts[counts > 0] / size
        # What so few draws from an even distribution would have, by Miller and Madow's correction.
        entropy = float(-(part * np.log(part)).sum()) + (len(part) - 1) / (2 * size)
        total += size * min(entropy / np.log(rest), 1.0)
        weight += size
    return total / weight if weight else None


def _evaluated(rows: Rows, table: NDArray[np.float64], other: Rows, clock: Clock) -> dict[str, Any]:
    assert rows.labels is not None and other.labels is not None
    given = scaled(other.values, rows.values)
    count = min(_NEIGHBOURS, len(given) - 1)
    own, apart = nearest(given, given, count, clock, same=True)
    across, _ = nearest(given, table, 1, clock, same=False)
    kinds = int(max(rows.labels.max(), other.labels.max())) + 1
    shares = np.bincount(other.labels, minlength=kinds) / len(other)
    return {
        "evaluated_rows": len(other),
        "evaluated_apart": float(np.median(apart[:, 0])),
        "evaluated_chance": float((shares * shares).sum()),
        "evaluated_majority": float(shares.max()),
        "evaluated_agreement": float((other.labels[own[:, 0]] == other.labels).mean()),
        "evaluated_by_training": float((rows.labels[across[:, 0]] == other.labels).mean()),
    }


def _model(subject: Subject, batches: list[KeptBatch], clock: Clock, prefix: str) -> dict[str, Any]:
    """How often the model, in evaluation mode, is right; of numbers the variance explained."""
    right = of = 0
    squares: list[torch.Tensor] = []
    wanted: list[torch.Tensor] = []
    model = subject.model()
    for batch in batches[-_MOST_BATCHES:]:
        clock.check()
        target = batch.loss.target if batch.loss is not None else batch.labels
        if target is None:
            continue
        try:
            with torch.no_grad():
                given = subject.predictions(subject.call(model, batch), batch)
        except NotPossible:
            continue
        function = batch.loss.function if batch.loss is not None else "cross_entropy"
        if given.dim() == 2 and given.shape[1] > 1 and target.dim() == 1 and len(given) == len(target):
            right += int((given.argmax(1) == target).sum())
            of += len(target)
        elif given.numel() == target.numel() and function.startswith("binary"):
            bound = 0.0 if function.endswith("logits") else 0.5
            right += int(((given.reshape(-1) > bound) == (target.reshape(-1) > 0.5)).sum())
            of += target.numel()
        elif given.numel() == target.numel() and target.is_floating_point():
            squares.append((given.reshape(-1) - target.reshape(-1)).double() ** 2)
            wanted.append(target.reshape(-1).double())
    found: dict[str, Any] = {f"{prefix}model_accuracy": right / of} if of else {}
    if wanted and len(torch.cat(wanted)) > 1:
        variance = float(torch.cat(wanted).var())
        if variance > 0:
            found[f"{prefix}model_explains"] = 1 - float(torch.cat(squares).mean()) / variance
    return found


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    if one.std() <= 0 or other.std() <= 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])
