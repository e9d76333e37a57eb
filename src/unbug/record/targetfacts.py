"""What the targets of a loss call are: class numbers, bits, signs, one-hot rows, padded sequences."""

from __future__ import annotations

from math import gcd

import torch

__all__ = ["REACH", "outside_share", "target_facts"]

REACH: dict[str, tuple[float | None, float | None]] = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Relu": (0.0, None),
    "Softplus": (0.0, None),
    "Exp": (0.0, None),
    "LogSigmoid": (None, 0.0),
    "LogSoftmax": (None, 0.0),
    "Elu": (-1.0, None),
    "Gelu": (-0.17, None),
    "Silu": (-0.28, None),
}
"""Operation of an output -> least and greatest value that it can give."""
_MOST = 65_536
_SLACK = 0.01
_MOST_LEVELS = 32
_FEWEST_RUNS = 6
_SHORTEST = 3

Facts = dict[str, bool | float]


def target_facts(function: str, op: str, target: torch.Tensor) -> Facts:
    """Facts about the elements of a target on the CPU; of a large one its first elements.

    Args:
        function: The loss's name.
        op: The operation that made the prediction, see `made_by`.
        target: Strided, real, not empty.
    """
    facts: Facts = {}
    flat = _few(target)
    if function in ("cross_entropy", "nll_loss") and not target.is_floating_point():
        if target.dim() <= 2:
            facts |= _padding(flat)
        return facts
    if not target.is_floating_point():
        flat = flat.to(torch.float32)
    integral = bool((flat == flat.round()).all())
    facts["target_integral"] = integral
    levels = torch.unique(flat) if integral else None
    few = levels is not None and len(levels) <= _MOST_LEVELS
    values = levels.tolist() if few and levels is not None else []
    facts["target_bits"] = values == [0.0, 1.0]
    facts["target_signs"] = values == [-1.0, 1.0]
    facts["target_single"] = len(values) == 1
    facts["target_indices"] = _indices(target, flat, values)
    if integral and _one_number(target):
        facts["target_mean"] = float(flat.mean())
        facts["target_square"] = float(flat.square().mean())
    if target.dim() >= 2 and target.shape[1] >= 2:
        rows = target.detach()[: max(_MOST // max(target[0].numel(), 1), 1)]
        sums = rows.sum(dim=1, dtype=torch.float32)
        ones = bool(((sums - 1).abs() <= 1e-3).all())
        facts["target_rows_sum_to_one"] = ones
        facts["target_one_hot"] = ones and values == [0.0, 1.0] and target.shape[1] >= 3
    if op in REACH:
        facts["target_outside"] = outside_share(op, flat)
    return facts


def outside_share(op: str, values: torch.Tensor) -> float:
    """Share of values that an output made by `op` cannot reach."""
    low, high = REACH[op]
    outside = torch.zeros_like(values, dtype=torch.bool)
    if low is not None:
        outside |= values < low - _SLACK
    if high is not None:
        outside |= values > high + _SLACK
    return float(outside.sum() / max(values.numel(), 1))


def _few(target: torch.Tensor) -> torch.Tensor:
    kept = target.detach()
    if kept.numel() > _MOST and kept.dim():
        kept = kept[: max(_MOST // max(kept[0].numel(), 1), 1)]
    kept = kept.reshape(-1)[:_MOST]
    return kept.to(torch.uint8) if kept.dtype == torch.bool else kept


def _indices(target: torch.Tensor, flat: torch.Tensor, values: list[float]) -> bool:
    """Whether one number for each example looks like the number of a class: 0 to K, all about as common."""
    if len(values) < 3 or values != [float(one) for one in range(len(values))]:
        return False
    if not _one_number(target):
        return False
    counts = torch.bincount(flat.long())
    return flat.numel() >= 4 * len(values) and bool(counts.min() * 4 >= counts.max())


def _one_number(target: torch.Tensor) -> bool:
    """Whether each example has one number."""
    return bool(target.dim() == 1 or (target.dim() == 2 and target.shape[1] == 1))


def _padding(flat: torch.Tensor) -> Facts:
    """Whether runs of the commonest value fill sequences of one length up to their end, or from their
    start."""
    facts: Facts = {"target_padded": False}
    if flat.numel() < _FEWEST_RUNS * _SHORTEST or flat.dtype == torch.uint8:
        return facts
    low, high = torch.aminmax(flat)
    if int(high) - int(low) > 1_000_000:
        return facts
    counts = torch.bincount((flat - low).long())
    value = int(counts.argmax()) + int(low)
    same = flat == value
    edges = torch.diff(same.to(torch.int8), prepend=torch.zeros(1, dtype=torch.int8))
    starts = torch.nonzero(edges == 1).reshape(-1)
    ends = torch.nonzero(edges == -1).reshape(-1)
    if bool(same[-1]):
        ends = torch.cat([ends, torch.tensor([flat.numel()])])
    long = (ends - starts) >= 2
    starts, ends = starts[long], ends[long]
    if len(starts) < _FEWEST_RUNS or bool((ends - starts == ends[0] - starts[0]).all()):
        return facts
    for edge in (ends, starts):
        if _common(edge) >= _SHORTEST:
            facts["target_padded"] = True
            facts["pad_value"] = float(value)
            facts["pad_share"] = float(same.sum()) / flat.numel()
            break
    return facts


def _common(numbers: torch.Tensor) -> int:
    """The greatest number that divides all."""
    return gcd(*(int(one) for one in numbers.tolist()))
