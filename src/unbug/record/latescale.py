"""GradScaler's factor: where it lies on a device it is known some steps later, and told then."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch

from unbug.record.gathered import Number

if TYPE_CHECKING:
    from unbug.record.core import Core
    from unbug.record.settings_seen import SettingsSeen

__all__ = ["LateScales"]

_MOST = 256


class LateScales:
    """Of all scalers."""

    def __init__(self, core: Core, settings: SettingsSeen) -> None:
        self._core, self._settings = core, settings
        self._waiting: deque[tuple[Number, bool]] = deque(maxlen=_MOST)

    def take(self, scale: float | torch.Tensor, skipped: bool) -> float | Number:
        """What the loss of the step that ends was multiplied with."""
        if not isinstance(scale, torch.Tensor):
            self._settings.scaler(scale, skipped)
            return scale if scale > 0 else 1.0
        number = self._core.rows.gathered.take(scale)
        self._waiting.append((number, skipped))
        self.tell()
        return number

    def tell(self) -> None:
        """Tell of those that are known by now."""
        waiting = self._waiting
        while waiting and waiting[0][0].known:
            number, skipped = waiting.popleft()
            if not number.lost:
                self._settings.scaler(number.value, skipped)
