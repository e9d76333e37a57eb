"""Does a row keep its target from batch to batch? And which place of a sequence holds the target?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.checks.probes.paired import Pairs

__all__ = ["pairing", "shift_of"]

_MOST_PAIRS, _SHIFTS, _SAME, _CONSTANT = 200_000, (0, 1, 2, 3, -1, -2), 0.98, 0.9
_PURE, _LEAST_MET = 0.95, 10


def pairing(batches: Sequence[Pairs]) -> dict[str, Any]:
    """Follow every row through the batches that hold it.

    Returns:
        `met_again` (rows that came in a later batch with the target that they had first), `met_otherwise`
        (with another one), `target_known` (share of those other targets that some row had had before),
        `row_times` (mean number of batches of a row), `row_times_spread` (variance of that over its mean:
        1 for rows drawn at random), `different_rows`, `chance` (that two rows have the same target),
        `same_targets` (share of batches with exactly the targets of the batch before, on other rows, and in
        an order that the program does not make by rule, such as half of them 0 and half 1),
        `groups_kept` (of two rows that had one target when they met, how often they have one when they meet
        again, less the same of two rows that had different ones: 1 where classes are only renamed).
    """
    first: dict[int, int] = {}
    times: Counter[int] = Counter()
    answers: Counter[int] = Counter()
    known: set[int] = set()
    again = otherwise = seen_before = same = followed = 0
    together: dict[tuple[int, int], bool] = {}
    met_pairs = np.zeros((2, 2), np.int64)  # before, now
    mostly_pure = sum(one.is_pure for one in batches) > _PURE * len(batches)
    last: Pairs | None = None
    for batch in batches:
        if batch.is_pure and mostly_pure:
            continue  # of an adversary, say, whose examples are all real or all made
        rows, targets = batch.inputs.tolist(), batch.targets.tolist()
        if last is not None and len(last) == len(batch) and bool((last.inputs != batch.inputs).all()):
            followed += 1
            same += bool((last.targets == batch.targets).all()) and not _is_pattern(batch)
        last = batch
        fresh: dict[int, int] = {}
        for row, target in zip(rows, targets, strict=True):
            if row in fresh:
                continue
            fresh[row] = target
            before = first.get(row)
            if before is None:
                first[row] = target
            elif before == target:
                again += 1
            else:
                otherwise += 1
                seen_before += target in known
        times.update(fresh.keys())
        answers.update(fresh.values())
        known.update(fresh.values())
        met = sorted(fresh.items())[:64]
        if len(together) < _MOST_PAIRS:
            for number, (one, target) in enumerate(met):
                for other, beside in met[:number]:
                    alike = together.get((one, other))
                    if alike is None:
                        together[one, other] = target == beside
                    else:
                        met_pairs[int(alike), int(target == beside)] += 1
    counts = np.array(list(times.values()), dtype=np.float64)
    total = sum(answers.values())
    chance = sum(one * one for one in answers.values()) / (total * total) if total else 1.0
    return {
        "met_again": again,
        "met_otherwise": otherwise,
        "target_known": seen_before / otherwise if otherwise else None,
        "row_times": float(counts.mean()) if len(counts) else 0.0,
        "row_times_spread": float(counts.var() / counts.mean()) if len(counts) else None,
        "different_rows": len(counts),
        "pair_chance": chance,
        "same_targets": same / followed if followed else None,
        "batches_followed": followed,
        "targets_are": _kind(batches),
        "groups_kept": _kept(met_pairs),
    }


def _is_pattern(batch: Pairs) -> bool:
    """Whether the targets come in runs or in turn: real and made, two domains, episodes of few shots."""
    targets = batch.targets
    runs = 1 + int((targets[1:] != targets[:-1]).sum())
    if runs <= len(np.unique(targets)):
        return True
    return any(bool((targets[turn:] == targets[:-turn]).all()) for turn in range(1, len(targets) // 2 + 1))


def _kind(batches: Sequence[Pairs]) -> str:
    """Whether targets are `numbers`, one `class` each, or `classes`."""
    if any(one.wanted.is_floating_point() for one in batches):
        return "numbers"
    return "class" if all(one.wanted.numel() == len(one) for one in batches) else "classes"


def _kept(met: NDArray[np.int64]) -> float | None:
    if met.sum(1).min() < _LEAST_MET:
        return None
    return float(met[1, 1] / met[1].sum() - met[0, 1] / met[0].sum())


def shift_of(batches: Sequence[Pairs]) -> tuple[int, int] | None:
    """Of sequences of tokens the place whose token is the target of place 0, if it is always the same one.

    Returns:
        That place, and the positions it was seen at; None where there is none, or where any would do.
    """
    usable = [
        (torch.from_numpy(one.tokens), one.wanted.long())
        for one in batches
        if one.tokens is not None
        and not one.wanted.is_floating_point()
        and one.wanted.dim() == 2
        and 0 <= one.tokens.shape[1] - one.wanted.shape[1] <= 1
        and one.wanted.shape[1] >= 6
    ]
    if len(usable) < 2:
        return None
    fits = {}
    for shift in _SHIFTS:
        right = of = 0
        for tokens, wanted in usable:
            length = wanted.shape[1]
            low, high = max(0, -shift), min(length, tokens.shape[1] - shift)
            given, asked = tokens[:, low + shift : high + shift], wanted[:, low:high]
            valid = asked >= 0
            right += int((given == asked)[valid].sum())
            of += int(valid.sum())
        fits[shift] = right / max(of, 1), of
    best = max(fits, key=lambda one: fits[one][0])
    others = max(share for shift, (share, _) in fits.items() if shift != best)
    if fits[best][0] < _SAME or others > _CONSTANT:
        return None
    return best, fits[best][1]
