"""What an untrained copy makes of the inputs: a view of them that suits the network, and knows no target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.paired import Pairs
from unbug.checks.probes.subject import Subject

__all__ = ["untrained_view"]

_MOST_COLUMNS = 256
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)


def untrained_view(subject: Subject, pairs: Sequence[Pairs], clock: Clock) -> NDArray[np.float64] | None:
    """The input of the last layer with weights, in a copy with fresh weights.

    Returns:
        `(rows, columns)`; of positions the mean over them. None where the copy cannot be called, or where
        the weights cannot be made anew.
    """
    model = subject.model()
    fresh = False
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
            fresh = True
    if not fresh:
        return None
    held: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], torch.Tensor):
            held[:] = [args[0].detach()]

    hooks = [one.register_forward_pre_hook(keep) for one in model.modules() if isinstance(one, _WEIGHTED)]
    found = []
    try:
        for one in pairs:
            clock.check()
            held.clear()
            with torch.no_grad():
                subject.call(model, one.batch)
            if not held or held[0].dim() < 2:
                return None
            value = held[0]
            if value.dim() > 2:
                value = value.mean(1) if value.dim() == 3 else value.flatten(2).mean(2)
            if len(value) <= int(one.index.max()):
                return None
            found.append(value[torch.from_numpy(one.index)].double().numpy())
    except NotPossible:
        return None
    finally:
        for hook in hooks:
            hook.remove()
    if len({one.shape[1] for one in found}) != 1:
        return None
    table = np.concatenate(found)
    if not np.isfinite(table).all():
        return None
    if table.shape[1] > _MOST_COLUMNS:
        table = table[:, np.arange(_MOST_COLUMNS) * table.shape[1] // _MOST_COLUMNS]
    return table
