"""The step in progress: what came since the last optimizer step.

A *window* is the stretch of forwards and backward calls between two optimizer steps of any kind: what the
next optimizer to step optimises. Two optimizers that step one after the other share it. Of the backward calls
inside a step (closures) only the first counts as loss: LBFGS evaluates the same batch again and again.
"""

from __future__ import annotations

import math

import torch

from unbug.record.gathered import Gathered, Number
from unbug.record.tensors import at_hand

__all__ = ["Progress"]


class Progress:
    """Mutable; one for the process. Losses of a device are `gathered`."""

    __slots__ = ("backwards", "batch", "clips", "device_losses", "expects_batch", "gathered", "inside",
                 "loss", "losses", "micro", "open", "stale", "wait_s", "waits")  # fmt: skip

    def __init__(self, gathered: Gathered) -> None:
        self.gathered = gathered
        self.open = False
        self.inside = False
        self.expects_batch = True
        self.stale = False
        self.backwards = 0
        self.loss = 0.0
        self.losses = 0
        self.micro = 0
        self.batch = 0
        self.wait_s = 0.0
        self.waits = 0
        self.device_losses: list[Number] = []
        self.clips: list[tuple[float, float | Number]] = []

    def begin_window(self) -> None:
        """The first forward or backward since an optimizer stepped."""
        self.open = True
        self.inside = False
        self.expects_batch = True
        self.loss = 0.0
        self.losses = 0
        self.micro = 0
        self.batch = 0
        if self.device_losses:
            self.device_losses = []

    def forward(self, size: int) -> None:
        """A root ran on `size` examples; only the first one in front of each backward counts."""
        self.expects_batch = False
        if size > 0:
            self.batch += size

    def backward(self, tensors: tuple[torch.Tensor, ...], *, in_step: bool) -> None:
        """Backward is called on these."""
        counts = not self.inside
        self.inside = in_step
        self.micro += 1
        self.backwards += 1
        self.expects_batch = counts and not in_step
        if counts:
            self.take(tensors)

    def take(self, tensors: tuple[torch.Tensor, ...]) -> None:
        """Add scalars to the loss; those on a device are known later."""
        for tensor in tensors:
            if tensor.numel() != 1 or tensor.is_complex() or tensor.is_meta:
                continue
            self.losses += 1
            if at_hand(tensor):
                self.loss += tensor.item()
            else:
                self.device_losses.append(self.gathered.take(tensor))

    def step_over(self) -> None:
        """The primary optimizer stepped."""
        self.wait_s = 0.0
        self.waits = 0
        self.stale = False

    def loss_value(self, scale: float) -> float:
        """The loss, unscaled; NaN where there was none."""
        return self.loss / scale if self.losses else math.nan
