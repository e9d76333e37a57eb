"""Whether a gradient that a step has used is added to: the mechanism of a missing `zero_grad`.

After a step two representative parameters' gradients are remembered by identity and version (a number that
every in-place change raises). If the next backward begins with the same object in the same version, and some
of it is not zero, it adds to what was used. A later clear before the step takes that back: the gradients that
a generator's backward leaves in the discriminator are cleared before the discriminator steps.
"""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from unbug.record.gathered import Gathered, Number
from unbug.record.refs import TensorRef, ref
from unbug.record.tensors import at_hand

__all__ = ["StaleGradient"]

_REPRESENTATIVES = 2
_VERIFIED, _MOST_ASKED = 2, 16
"""Looks at a device that must have found something, and how often it is asked at the most."""


class StaleGradient:
    """One optimizer's gradients between its steps. What lies on a device is `gathered`."""

    __slots__ = ("_after", "_asked", "_chosen", "_gathered", "_pending", "_used", "_verified", "added_to")

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered
        self._pending: list[Number] = []
        self._asked = 0
        self._chosen: list[TensorRef] = []
        self._used: list[tuple[TensorRef, TensorRef, int]] = []
        self._after: list[int] = []
        self._verified = 0
        self.added_to = False

    def stepped(self, optimizer: Optimizer) -> None:
        """The optimizer has used the gradients there are."""
        self.added_to = False
        self._remember()
        if not self._chosen or len(self._used) < len(self._chosen):
            parameters = (one for group in optimizer.param_groups for one in group["params"])
            with_grad = sorted((one for one in parameters if one.grad is not None), key=torch.Tensor.numel)
            self._chosen = [ref(one) for one in with_grad[:_REPRESENTATIVES]]
            self._remember()

    def cleared(self) -> None:
        """zero_grad was called."""
        self._used.clear()
        self.added_to = False

    def backward_begins(self) -> None:
        """Look whether what was used lies there still, untouched."""
        if not self._used:
            return
        if self.added_to:
            if [self._version(entry) for entry in self._used] != self._after:
                self.cleared()
            return
        for entry in self._used:
            if self._version(entry) == entry[2] and self._some(entry):
                self.added_to = True
                return

    def backward_ended(self) -> None:
        """Remember the versions, so that a clear by hand between two backward calls is noticed."""
        if self.added_to:
            self._after = [self._version(entry) for entry in self._used]

    def in_step(self) -> bool:
        """Whether the step that begins (or, with a closure, ends) uses a gradient that was added to."""
        return self.added_to and any(self._version(entry) > entry[2] for entry in self._used)

    def _remember(self) -> None:
        self._used.clear()
        for reference in self._chosen:
            parameter = reference()
            if parameter is not None and (grad := parameter.grad) is not None:
                self._used.append((reference, ref(grad), grad._version))

    def _version(self, entry: tuple[TensorRef, TensorRef, int]) -> int:
        parameter = entry[0]()
        if parameter is None:
            return -1
        grad = parameter.grad
        if grad is None or id(grad) != id(entry[1]()):
            return -1
        return int(grad._version)

    def _some(self, entry: tuple[TensorRef, TensorRef, int]) -> bool:
        """Old code clears with `grad.data.zero_()`, which raises no version.

        A device's answer comes some steps later: until it has twice been that something is left, nothing is
        taken to be; and after a few answers it is not asked any more.
        """
        grad = entry[1]()
        if grad is None:
            return False
        with torch.no_grad():
            values = grad.detach()
            if at_hand(values):
                return bool((values.coalesce().values() if values.is_sparse else values).any())
            self._verified += sum(number.known and number.value > 0 for number in self._pending)
            self._pending = [number for number in self._pending if not number.known]
            if self._verified < _VERIFIED and self._asked < _MOST_ASKED:
                self._asked += 1
                some = values._values() if values.is_sparse else values
                self._pending.append(self._gathered.take(some.any().float()))
            return self._verified >= _VERIFIED
