"""Loaders that are asked for an epoch and give no batch at all."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.loaders import loader_facts
from unbug.record.sight import TOLD_AT

if TYPE_CHECKING:
    from unbug.record.core import Core

__all__ = ["Barren"]

_MOST = 64


class Barren:
    """Writes `exhausted` events. Of what was slept through nothing is said."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._batches: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._times: dict[int, int] = {}

    def gave(self, loader: Any) -> None:
        """A batch."""
        count, _ = self._batches.get(id(loader), (0, 0))
        self._batches[id(loader)] = count + 1, self._core.slept
        if len(self._batches) > _MOST:
            self._batches.popitem(last=False)

    def exhausted(self, loader: Any) -> None:
        """It has no more."""
        core = self._core
        known = self._batches.get(id(loader))
        self._batches[id(loader)] = 0, core.slept
        if known is None and core.slept:
            return
        count, slept = known if known is not None else (0, core.slept)
        if count or slept != core.slept or (known is None and len(self._times) >= _MOST):
            return
        times = self._times[id(loader)] = self._times.get(id(loader), 0) + 1
        if times in TOLD_AT:
            facts = loader_facts(loader)
            fields = {"times": times, "gave_before": known is not None, "grad": torch.is_grad_enabled()}
            core.event("exhausted", {**fields, **facts})
