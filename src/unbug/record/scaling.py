"""What is left of GradScaler's factor when an optimizer steps, and whether one makes the step at all."""

from __future__ import annotations

import sys

import torch
from torch.optim import Optimizer

__all__ = ["called_by_scaler", "left_scale"]

_SCALER_FRAMES = 12


def left_scale(optimizer: Optimizer) -> float:
    """What gradients are still to be multiplied with: a fused optimizer unscales by itself."""
    scale = getattr(optimizer, "grad_scale", None)
    if isinstance(scale, torch.Tensor) and scale.device.type == "cpu" and scale.numel() == 1:
        return 1.0 / float(scale)
    return 1.0


def called_by_scaler() -> bool:
    """Whether GradScaler makes this step: its scale is told when it is done, and is needed for the loss."""
    frame = sys._getframe(1)
    for _ in range(_SCALER_FRAMES):
        if frame.f_code.co_name == "_maybe_opt_step":
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False
