"""What models say in evaluations, by class: most programs measure there without a loss of PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unbug.record.columns import readable
from unbug.record.credit import Credit
from unbug.record.sight import TOLD_AT
from unbug.record.tensors import first_tensor

if TYPE_CHECKING:
    from unbug.record.core import Core

__all__ = ["Outputs"]

_CLASSES, _EXAMPLES = 1000, 65_536


@dataclass(slots=True)
class _Said:
    credit: Credit
    said: NDArray[np.int64]
    before: NDArray[np.int64]
    over_half: int = 0


class Outputs:
    """Writes `outputs` events: predictions by class since the last but one, and the number above one half."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._said: dict[int, _Said] = {}

    def given(self, value: Any) -> None:
        """A model gave its output in an evaluation."""
        tensor = first_tensor(value)
        number = max(self._core.number(), 0)
        if tensor is None or not readable(tensor) or not tensor.is_floating_point() or tensor.dim() > 2:
            return
        classes = 2 if tensor.dim() == 1 or tensor.shape[1] == 1 else int(tensor.shape[1])
        if classes > _CLASSES:
            return
        known = self._said.get(number)
        if known is None or len(known.said) != classes:
            none = np.zeros(classes, np.int64)
            known = self._said[number] = _Said(Credit(self._core), none, none)
        if not known.credit.due():
            return
        start = perf_counter_ns()
        with torch.no_grad():
            values = tensor.detach()[: _EXAMPLES // classes]
            if classes == 2 and values.numel() == len(values):
                positive = int((values > 0).sum())
                known.said = known.said + np.array([len(values) - positive, positive])
                known.over_half += int((values > 0.5).sum())
            else:
                known.said = known.said + np.bincount(values.argmax(1).numpy(), minlength=classes)
        known.credit.paid(perf_counter_ns() - start)
        if known.credit.looks in TOLD_AT:
            self._tell(number)

    def close(self) -> None:
        """Say how everything stands at the end."""
        for number in self._said:
            self._tell(number, final=True)
        self._said.clear()

    def _tell(self, number: int, **more: Any) -> None:
        known = self._said[number]
        fields = {
            "classes": len(known.said),
            "said": (known.before + known.said).tolist(),
            "over_half": known.over_half,
            "looked_at": known.credit.looks,
        }
        self._core.event("outputs", {**fields, **more}, training=number)
        known.before, known.said = known.said, np.zeros_like(known.said)
