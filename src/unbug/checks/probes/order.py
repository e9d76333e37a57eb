"""Does the order of positions reach what an attention model says?

Positions are shuffled: a model that cannot tell gives the same outputs, shuffled alike. Whether order matters
for the task is asked of the kept examples themselves: equal collections of tokens whose targets differ.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import nn

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.layout import layout_of
from unbug.checks.probes.repeatable import spread, steady_output
from unbug.checks.probes.subject import Subject, module_classes
from unbug.record import KeptBatch, tensors_in

__all__ = ["order"]

_ORDERED = (nn.RNNBase, nn.RNNCellBase, nn.modules.conv._ConvNd)
_SHUFFLES = 2


def order(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Shuffle the positions of an attention model's input.

    Returns:
        `positions`, `change` (largest change of an output that follows its position or has none, in
        standard deviations), `per_position`, `next_token`, `embedding` (tokens are looked up),
        `same_tokens` (pairs that only order tells apart), `same_tokens_other_target`,
        `position_parameters` (names that speak of positions).
    Raises:
        NotPossible: no attention, layers that know order by themselves, or no positions.
    """
    template = subject.template
    if not any(
        "attention" in name.lower() or "transformer" in name.lower() for name in module_classes(template)
    ):
        raise NotPossible("the model has no attention")
    if any(isinstance(one, _ORDERED) for one in template.modules()):
        raise NotPossible("recurrent or convolution layers know the order")
    batch = subject.batch
    layout = layout_of(batch)
    given = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))][layout.number]
    if given.dim() not in (2, 3) or (given.dim() == 2 and given.is_floating_point()):
        raise NotPossible("the input has no positions")
    time = layout.time if layout.time is not None else 1
    length = given.shape[time]
    if length < 3 or bool((given == given.narrow(time, 0, 1)).all()):
        raise NotPossible("too few positions")
    model = subject.model()
    before = steady_output(subject, model, batch, clock)
    positional = before.dim() > time and before.shape[time] == length and before.dim() >= 3
    change = 0.0
    for number in range(_SHUFFLES):
        clock.check()
        index = torch.randperm(length, generator=torch.Generator().manual_seed(number + 1))
        if layout.time is not None:  # what is said at the last position sees all before it, and itself
            index = torch.cat([index[index != length - 1], torch.tensor([length - 1])])
        with torch.no_grad():
            after = subject.out(model, batch, {layout.number: given.index_select(time, index)})
        one, other = before, after
        if layout.time is not None and positional:
            one, other = one.select(time, length - 1), other.select(time, length - 1)
        elif positional:
            one = one.index_select(time, index)
        if one.shape != other.shape:
            raise NotPossible("the output has another shape for another order")
        change = max(change, float((one - other).abs().max()) / spread(before))
    return {
        "positions": length,
        "change": change,
        "per_position": bool(positional),
        "next_token": layout.time is not None,
        "embedding": not given.is_floating_point(),
        "position_parameters": [
            name for name, _ in template.named_parameters() if "pos" in name.lower().rpartition(".")[0]
            or name.lower().startswith("pos")
        ][:4],
        **_bags(subject, layout.number, time),
    }  # fmt: skip


def _bags(subject: Subject, number: int, time: int) -> dict[str, int]:
    """How often what stands in an example, whatever its order, leaves the target open.

    Pairs of examples that hold the same tokens, and those of them whose targets differ; where each position
    has a target, equal tokens in one example, and those of them with different targets.
    """
    groups: dict[tuple[int, ...], set[tuple[tuple[int, ...], int]]] = defaultdict(set)
    pairs = other = 0
    for batch in subject.kept.small:
        for tokens, target in _examples(batch, number, time):
            if isinstance(target, int):
                groups[tuple(sorted(tokens))].add((tokens, target))
                continue
            said: dict[int, int] = {}
            for token, wanted in zip(tokens, target, strict=True):
                if token in said:
                    pairs += 1
                    other += said[token] != wanted
                said[token] = wanted
    for group in groups.values():
        kept = list(group)[:8]
        for place, one in enumerate(kept):
            for two in kept[place + 1 :]:
                if one[0] != two[0]:
                    pairs += 1
                    other += one[1] != two[1]
    return {"same_tokens": pairs, "same_tokens_other_target": other}


def _examples(
    batch: KeptBatch, number: int, time: int
) -> list[tuple[tuple[int, ...], int | tuple[int, ...]]]:
    tensors = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))]
    target = batch.loss.target if batch.loss is not None else None
    if number >= len(tensors) or target is None or target.is_floating_point():
        return []
    given = tensors[number]
    if given.dim() != 2 or given.is_floating_point() or time != 1:
        return []
    rows = [tuple(one) for one in given.tolist()]
    if target.dim() == 1 and len(given) == len(target):
        return list(zip(rows, target.tolist(), strict=True))
    if target.numel() == given.numel():
        return list(zip(rows, (tuple(one) for one in target.reshape(given.shape).tolist()), strict=True))
    return []
