"""How far training mode and evaluation mode are apart on the same batches of the training.

BatchNorm whose running statistics do not fit gives a far worse loss in evaluation mode; dropout that leaves
little signal a far worse one in training mode; and two passes in evaluation mode must give the same.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.repeatable import LEAST_CHANGE, spread
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch

__all__ = ["modes"]

_PASSES, _BATCHES = 6, 3
_DROPOUTS = (nn.modules.dropout._DropoutNd,)
_NORMS = (nn.modules.batchnorm._BatchNorm,)


class _Dropped(TorchFunctionMode):  # type: ignore[misc]
    """Notes dropout that is applied though it is asked of a model in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            given = dict(zip(("q", "k", "v", "mask", "dropout_p"), args, strict=False)) | (kwargs or {})
            if given.get("dropout_p"):
                self.names.add(name)
        elif "dropout" in name:
            given = {**dict(zip(("input", "p", "training"), args, strict=False)), **(kwargs or {})}
            if given.get("training", True) and given.get("p", 0.5):
                self.names.add(name)
        return func(*args, **(kwargs or {}))


def modes(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Compute loss and output of a few training batches in both modes.

    Returns:
        `train_loss`, `eval_loss` (means over batches and passes), `batch_norms`, `batches_tracked`,
        `momentum`, `examples` (of the smallest batch), `dropouts`, `dropout_rate` (largest),
        `noise` (deviation between passes in training mode over that between examples), `random_in_eval`
        (change between two passes in evaluation mode, in standard deviations), `dropout_in_eval` (names of
        functions).
    Raises:
        NotPossible: the model has no layer that knows modes and gives the same twice.
    """
    template = subject.template
    norms = [one for one in template.modules() if isinstance(one, _NORMS)]
    drops = [one for one in template.modules() if isinstance(one, _DROPOUTS)]
    batches = [one for one in subject.batches if one.train_mode][:_BATCHES] or [subject.batch]
    found: dict[str, Any] = {
        "batch_norms": len(norms),
        "batches_tracked": max((int(one.num_batches_tracked or 0) for one in norms), default=0),
        "momentum": max((one.momentum or 0.0 for one in norms), default=None),
        "tracking": all(one.track_running_stats for one in norms),
        "dropouts": len(drops),
        "dropout_rate": max((float(one.p) for one in drops), default=0.0),
    }
    model = subject.model()
    dropped = _Dropped()
    with torch.no_grad(), dropped:
        first, second = subject.out(model, batches[0]), subject.out(model, batches[0])
    if first.shape == second.shape and bool(torch.isfinite(first).all()):
        found["random_in_eval"] = float((first - second).abs().max()) / spread(first)
    found["dropout_in_eval"] = sorted(dropped.names)
    if not norms and not drops and found.get("random_in_eval", 0.0) <= LEAST_CHANGE:
        raise NotPossible("no layer of the model knows modes")
    found["noise"] = _noise(subject, batches[0], clock)
    found.update(_losses(subject, batches, clock))
    return found


def _losses(subject: Subject, batches: list[KeptBatch], clock: Clock) -> dict[str, Any]:
    one, two = subject.model(train_mode=True), subject.model()
    train: list[float] = []
    evaluated: list[float] = []
    examples = []
    for batch in batches:
        if batch.loss is None:
            continue
        clock.check()
        with torch.no_grad():
            examples.append(batch.loss.input_shape[0] if batch.loss.input_shape else 1)
            evaluated.append(float(subject.loss(subject.call(two, batch), batch)))
            passes = [float(subject.loss(subject.call(one, batch), batch)) for _ in range(3)]
            train.append(sum(passes) / len(passes))
    if not train or not all(map(math.isfinite, (*train, *evaluated))):
        return {}
    return {
        "train_loss": sum(train) / len(train),
        "eval_loss": sum(evaluated) / len(evaluated),
        "examples": min(examples),
    }


def _noise(subject: Subject, batch: KeptBatch, clock: Clock) -> float | None:
    """Deviation of one example's output between passes in training mode, over that between examples."""
    model = subject.model(train_mode=True)
    outs = []
    with torch.no_grad():
        for _ in range(_PASSES):
            clock.check()
            outs.append(subject.out(model, batch).float())
    if outs[0].dim() < 2 or any(one.shape != outs[0].shape for one in outs) or len(outs[0]) < 4:
        return None
    every = torch.stack(outs)
    between = float(every.mean(0).std(0).mean())
    within = float(every.std(0).mean())
    return within / between if between > 0 and math.isfinite(within) else None
