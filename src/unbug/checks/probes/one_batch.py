"""Can a copy learn one batch by heart?

A model that cannot fit a few dozen examples with an optimizer that adapts has too little capacity, or its
loss, its graph or its labels are wired wrongly.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch

__all__ = ["one_batch"]

_STEPS, _RATES = 150, (3e-3, 3e-2)
_LEAST_STEPS = 40
_PART = 0.6


def one_batch(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Train a copy on the latest batch alone, from its weights as they are and from fresh ones.

    Returns:
        `examples`, `loss_before`; for both starts `loss` and `accuracy` (best reached), `steps`; of fresh
        weights with `fresh_` in front; `reached` (share of the loss that went away, the better of both).
    Raises:
        NotPossible: the loss cannot be computed again, or has no gradient.
    """
    batch = subject.batch_with_loss()
    part = clock.part(_PART)
    found: dict[str, Any] = {"examples": int(batch.loss.input_shape[0]) if batch.loss else 0}
    for prefix, fresh in (("", False), ("fresh_", True)):
        best: dict[str, Any] = {}
        for rate in _RATES:
            result = _fit(subject, batch, rate, fresh, part.part(0.45))
            if not best or result["loss"] < best["loss"]:
                best = result
            if not prefix:
                found.setdefault("loss_before", result["before"])
        found.update({f"{prefix}{name}": value for name, value in best.items() if name != "before"})
    start, reached = found["loss_before"], min(found["loss"], found["fresh_loss"])
    found["reached"] = 1 - reached / start if start > 0 else None
    return found


def _fit(subject: Subject, batch: KeptBatch, rate: float, fresh: bool, clock: Clock) -> dict[str, Any]:
    model = subject.pupil()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
        if fresh and hasattr(module, "reset_parameters"):
            module.reset_parameters()
    trained = [one.requires_grad_() for one in model.parameters() if one.is_floating_point()]
    if not trained:
        raise NotPossible("the model has no parameters to train")
    optimizer = torch.optim.Adam(trained, lr=rate)
    before = best = math.inf
    accuracy: float | None = None
    step = 0
    for step in range(_STEPS):
        if clock.left_s <= 0:
            break
        output = subject.call(model, batch)
        loss = subject.loss(output, batch)
        if not loss.requires_grad:
            raise NotPossible("the loss has no gradient on a copy")
        value = float(loss)
        before = value if step == 0 else before
        if value < best:
            best, accuracy = value, _accuracy(subject, output, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    if step < _LEAST_STEPS:
        raise NotPossible(f"only {step} steps fit into the time")
    return {"loss": best, "accuracy": accuracy, "steps": step + 1, "before": before}


def _accuracy(subject: Subject, output: Any, batch: KeptBatch) -> float | None:
    target = batch.loss.target if batch.loss is not None else None
    if target is None or target.is_floating_point():
        return None
    try:
        given = subject.predictions(output, batch)
    except NotPossible:
        return None
    if given.dim() < 2 or given.shape[0] != target.shape[0] or target.dim() != 1:
        return None
    return float((given.argmax(1) == target).float().mean())
