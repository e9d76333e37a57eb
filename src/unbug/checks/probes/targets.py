"""Do targets belong to their inputs? Rows are followed through batches, and any relation is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.own_targets import own_targets
from unbug.checks.probes.paired import Pairs, different, kept_pairs, target_of, views_of, wanted_of
from unbug.checks.probes.pairing import pairing, shift_of
from unbug.checks.probes.relation import MOST_ROWS, Relation, columns_of, relation
from unbug.checks.probes.rows import scaled, structure
from unbug.checks.probes.seeing import sees_later
from unbug.checks.probes.subject import Subject
from unbug.checks.probes.untrained import untrained_view

__all__ = ["targets"]

_LEAST_ROWS, _LEAST_EVALUATED, _MOST_EVALUATED, _SEED = 40, 40, 256, 20090201
_IDS = 2
"""Whole numbers of an example that are names, rather than a text."""
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def targets(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Follow the kept rows and compare what can be told of their targets with chance.

    Returns:
        What `pairing` gives; `shift`, `shifted_positions` of sequences of tokens, with `sees_later` where it
        tells a copy from a prediction; `rows` different examples; `errors`, `by_chance`, `correlation`,
        `accuracy` of the best relation between rows and targets, and the same of the evaluation with
        `evaluated_` in front; `transfer`, the share of the evaluation's rows that those of training predict;
        `own`, how much better the model is at the targets of its rows than at those of others, in deviations
        of chance, with `own_rows`; `views` that were tried; `classes`, `majority`, `structure`;
        `evaluated_of_majority`, share of the most frequent class of training in the evaluation;
        `evaluated_told_by`: where the evaluation's targets come from.
    Raises:
        NotPossible: too few batches with a target for each row were kept.
    """
    kept = subject.kept
    batches = kept_pairs(kept.small)
    if len(batches) < 2:
        raise NotPossible("fewer than two batches with a target for each row were kept")
    found: dict[str, Any] = pairing(batches)
    shift = shift_of(batches)
    if shift is not None:
        found["shift"], found["shifted_positions"] = shift
        if shift[0] < 1:
            found["sees_later"] = sees_later(subject, kept.small[-1], clock)
    usable = [one for one in batches if not one.is_pure]
    found["pure_batches"] = 1 - len(usable) / len(batches)
    chosen = different(usable, MOST_ROWS)
    found["rows"] = sum(len(one) for one in chosen)
    if found["rows"] < _LEAST_ROWS:
        return found
    told = {one.told_by or "loss" for one in kept.evaluated if target_of(one) is not None}
    if told:
        found["evaluated_told_by"] = "names" if "names" in told else sorted(told)[0]
    for prefix, kept_ones in (("own", kept.recent or kept.small), ("evaluated_own", kept.evaluated)):
        own = own_targets(subject, list(kept_ones), clock)
        if own is not None:
            found[prefix], found[f"{prefix}_rows"] = own
    found.update(_related(subject, chosen, different(kept_pairs(kept.evaluated), _MOST_EVALUATED), clock))
    return found


def _related(subject: Subject, chosen: list[Pairs], other: list[Pairs], clock: Clock) -> dict[str, Any]:
    if all(one.numbers is None and one.tokens is not None and one.tokens.shape[1] <= _IDS for one in chosen):
        return {}  # names of users and things: neighbours among them mean nothing
    draw, count = np.random.default_rng(_SEED), sum(len(one) for one in chosen)
    train, asked = wanted_of(chosen), wanted_of(other)
    beside = sum(len(one) for one in other)
    if beside < _LEAST_EVALUATED or asked is None:
        other, asked = [], None
    views = _views(subject, [*chosen, *other], clock) or _views(subject, chosen, clock)
    if train is None or not views:
        return {}
    if any(len(one) == count for one in views):
        other, asked = [], None
    wanted, classes = columns_of(train), _classes(chosen)
    if not wanted.shape[1]:
        return {}
    prepared = [_prepared(one[:count], one[:count]) for one in views]
    others = [_prepared(one[count:], one[:count]) for one in views] if other else []
    best = relation(
        prepared, wanted, clock, draw, classes=classes, others=others, other_classes=_classes(other)
    )
    found = {**_told(best, ""), "views": len(views), "structure": structure(prepared[0])}
    if classes is not None:
        found["classes"] = len(np.unique(classes))
        found["majority"] = float(np.bincount(classes).max() / len(classes))
        beside_classes = _classes(other)
        if beside_classes is not None:
            found["evaluated_of_majority"] = float((beside_classes == np.bincount(classes).argmax()).mean())
    if asked is not None and columns_of(asked).shape[1]:
        alone = [_prepared(one[count:], one[count:]) for one in views]
        best = relation(alone, columns_of(asked), clock, draw, classes=_classes(other))
        found |= {"evaluated_rows": beside, **_told(best, "evaluated_")}
    return found


def _told(best: Relation, prefix: str) -> dict[str, Any]:
    told = {name: getattr(best, name) for name in ("errors", "by_chance", "correlation", "accuracy")}
    if not prefix:
        told |= {"transfer": best.transfer, "transfer_errors": best.transfer_errors}
    return {prefix + name: float(value) for name, value in told.items() if np.isfinite(value)}


def _views(subject: Subject, pairs: Sequence[Pairs], clock: Clock) -> list[Floats]:
    views = views_of(pairs)
    made = untrained_view(subject, pairs, clock)
    return [one for one in (*views, *([made] if made is not None else [])) if float(one.std()) > 0]


def _prepared(table: Floats, like: Floats) -> Floats:
    return np.clip(scaled(table, like), -8.0, 8.0)


def _classes(pairs: Sequence[Pairs]) -> Integers | None:
    found = [one.classes for one in pairs if one.classes is not None]
    if not found or len(found) != len(pairs):
        return None
    classes = np.concatenate(found)
    return classes if classes.min() >= 0 and classes.max() < 1000 else None
