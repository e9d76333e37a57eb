"""What a probe experiments on: copies of one model, the batches that it was given, its loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from unbug.checks.probes.contract import NotPossible
from unbug.checks.probes.copying import copy_of
from unbug.record import KeptBatch, KeptModel, follow, mapped, tensors_in

__all__ = ["Subject", "main_input", "module_classes"]


_TRAINED = 4
"""Times the parameters: they, their gradients, and two moments of each."""


class Subject:
    """One model of a training that ended.

    Args:
        most_bytes: That a copy may take.
        alone: Nobody else uses the model in this process: copies share its parameters until one is trained.
    Raises:
        NotPossible: nothing can be found out about it.
    """

    def __init__(self, kept: KeptModel, *, most_bytes: int, alone: bool = False) -> None:
        self.kept = kept
        self._most_bytes, self._alone = most_bytes, alone
        model = kept.held if kept.held is not None else kept.root()
        if kept.why_not:
            raise NotPossible(kept.why_not)
        if model is None:
            raise NotPossible("the model was gone, and too large to be held")
        if not (kept.small or kept.recent):
            raise NotPossible("no batch of the training could be kept")
        self.class_name = type(model).__name__
        self._template = copy_of(model, most_bytes=most_bytes, shared=alone)
        self._template.zero_grad(set_to_none=True)

    def model(self, *, train_mode: bool = False) -> nn.Module:
        """A fresh copy, whose parameters may be those of other copies: not to be trained."""
        if not self._alone:
            return copy.deepcopy(self._template).train(train_mode)
        return copy_of(self._template, most_bytes=self._most_bytes, shared=True).train(train_mode)

    def pupil(self) -> nn.Module:
        """A fresh copy in training mode whose parameters are its own: one to be trained.

        Raises:
            NotPossible: there is not the room for it, with gradients and what an optimizer keeps.
        """
        size = sum(one.numel() * one.element_size() for one in self._template.parameters())
        if size * _TRAINED > self._most_bytes * 2:
            raise NotPossible(f"to train a copy takes {size * _TRAINED >> 20} MB, more than there is for it")
        return copy.deepcopy(self._template).train()

    @property
    def template(self) -> nn.Module:
        """The copy that all others are made of: to be looked at, not to be changed."""
        return self._template

    @property
    def batches(self) -> list[KeptBatch]:
        """Batches of the training, the latest first."""
        return [*reversed(self.kept.recent), *reversed(self.kept.small)]

    @property
    def batch(self) -> KeptBatch:
        """The latest batch, if possible one whose loss can be computed again."""
        return next((one for one in self.batches if one.loss is not None), self.batches[0])

    def batch_with_loss(self) -> KeptBatch:
        """The latest batch whose loss can be computed again.

        Raises:
            NotPossible: there is none.
        """
        batch = self.batch
        if batch.loss is None:
            raise NotPossible("the loss cannot be computed again from the model's output")
        return batch

    def call(self, model: nn.Module, batch: KeptBatch, change: dict[int, torch.Tensor] | None = None) -> Any:
        """The output of a copy for a batch.

        Args:
            change: Number of a tensor of the input, in order -> what takes its place.
        Raises:
            NotPossible: the copy cannot be called so.
        """
        counter = iter(range(10_000))

        def put(tensor: torch.Tensor) -> torch.Tensor:
            number = next(counter)
            fresh = tensor if change is None or number not in change else change[number]
            return fresh.clone()

        args, kwargs = mapped((batch.args, dict(batch.kwargs)), put)
        try:
            return model(*args, **kwargs)
        except Exception as error:
            raise NotPossible(
                f"a copy cannot be called: {type(error).__name__}: {str(error)[:120]}"
            ) from error

    def loss(self, output: Any, batch: KeptBatch, *, target: torch.Tensor | None = None) -> torch.Tensor:
        """The loss of an output, as the program computes it.

        Raises:
            NotPossible: it cannot be computed again.
        """
        kept = batch.loss
        if kept is None:
            raise NotPossible("the loss cannot be computed again from the model's output")
        try:
            if kept.link is None:
                return next(one for path, one in tensors_in(output) if path == kept.path).reshape(())
            arguments = dict(kept.arguments)
            if target is not None:
                arguments["target"] = target
            given = follow(kept.link, output, kept.input_shape)
            call: Callable[..., torch.Tensor] = getattr(nn.functional, kept.function)
            found = call(given, **arguments)
        except (LookupError, RuntimeError, ValueError, TypeError, StopIteration) as error:
            raise NotPossible(f"the loss cannot be computed again: {type(error).__name__}") from error
        return found if found.numel() == 1 else found.mean()

    def predictions(self, output: Any, batch: KeptBatch) -> torch.Tensor:
        """What the loss is given of an output; the first tensor of it where that is not known."""
        kept = batch.loss
        if kept is not None and kept.link is not None:
            try:
                return follow(kept.link, output, kept.input_shape)
            except (LookupError, RuntimeError) as error:
                raise NotPossible("the output has another form than it had") from error
        for _, one in tensors_in(output):
            if one.numel() > 1 and one.is_floating_point():
                return one
        raise NotPossible("the model's output is no tensor of numbers")

    def out(
        self, model: nn.Module, batch: KeptBatch, change: dict[int, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """The part of the output that the loss reads, as the model gives it: not flattened."""
        output = self.call(model, batch, change)
        kept = batch.loss
        tensors = list(tensors_in(output))
        if kept is not None and kept.link is not None:
            for path, one in tensors:
                if path == kept.link.path:
                    return one
        usable = [one for _, one in tensors if one.is_floating_point() and one.numel() > 1]
        if not usable:
            raise NotPossible("the model's output is no tensor of numbers")
        return usable[0]


def main_input(batch: KeptBatch) -> tuple[int, torch.Tensor]:
    """Number, in order, and tensor of the input that holds the examples: the first with more than one.

    Raises:
        NotPossible: there is none.
    """
    for number, (_, tensor) in enumerate(tensors_in((batch.args, dict(batch.kwargs)))):
        if tensor.dim() and tensor.shape[0] > 1 and not tensor.is_complex() and tensor.dtype != torch.bool:
            return number, tensor
    raise NotPossible("no input with more than one example")


def module_classes(model: nn.Module) -> Iterable[str]:
    """Class names of all modules."""
    return {type(module).__name__ for module in model.modules()}
