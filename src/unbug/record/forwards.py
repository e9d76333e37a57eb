"""What goes in and comes out: batches of loaders, passes of models, outputs of their modules."""

from __future__ import annotations

from collections.abc import Mapping
from threading import get_ident
from time import perf_counter_ns
from typing import Any

import torch

from unbug.record.batches import Batches
from unbug.record.core import Core
from unbug.record.items import first_examples, limits_of, saturation_scale
from unbug.record.settings_seen import SettingsSeen
from unbug.record.steps import Steps
from unbug.record.tensors import Unseen, first_tensor, local, statistics_of
from unbug.types import Phase

__all__ = ["Forwards"]

_FIRST_PASSES = 3


class Forwards:
    """Tells training from evaluation, and has inputs and outputs looked at.

    Args:
        steps: Told when something begins that ends the step before.
    """

    def __init__(self, core: Core, settings: SettingsSeen, steps: Steps) -> None:
        self._core, self._settings, self._steps = core, settings, steps
        self._batches = Batches(core)
        self._loaders = self._evaluated = False
        self.thread = get_ident()
        """Where the program trains; what other threads do is not looked at."""

    def root_forward(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """A module that no other calls is called."""
        if self._core.asleep:
            return
        start = perf_counter_ns()
        if get_ident() != self.thread:
            return
        core = self._core
        grad = torch.is_grad_enabled()
        root = core.roots.get(module)
        if root is None:
            root = core.roots.add(module)
        core.last_root = root
        key = (module.training, grad)
        count = root.forwards.get(key, 0)
        root.forwards[key] = count + 1
        evaluates = root.evaluates(module, grad=grad)
        if root.parameters:  # a loss that is a module has no mode
            core.evaluating = root if evaluates and grad else None
        if not evaluates:
            progress = core.progress
            core.phase = Phase.TRAIN
            core.trainings.forwarded(root)
            self._steps.word_may_end()
            core.letters.add("F")
            if not progress.open:
                progress.begin_window()
            known = root.training is not None or core.trainings.of_root(root) is not None
            if not known or (core.current is not None and core.current.looks is None):  # a closure's first
                core.watch_modules(count < _FIRST_PASSES and bool(root.parameters))
            elif core.current is not None and core.current.looks is not None:
                core.watch_modules(core.current.looks.wants_modules)
            first = progress.expects_batch
            if first:
                self._given(args, kwargs)
            if root.parameters:
                core.eyes.entered(root, args, kwargs, grad=True, first=first)
        else:
            core.phase = Phase.EVAL
            core.watch_modules(False)
            if not self._loaders:
                self._batch("model", (args, kwargs), grad=False)
                core.eyes.batch(None, (args, kwargs), grad=False)
            if root.parameters:
                self._evaluated = True
                core.eyes.entered(root, args, kwargs, grad=False)
        if count == 0 and not (evaluates and grad):  # else it may yet turn out to be a training
            self._settings.mode(root, module, grad=grad)
        if root.parameters:
            core.eyes.called(root, module, args, kwargs, evaluates=evaluates)
        core.spent += perf_counter_ns() - start
        if grad and root.training is not None:
            core.eyes.steps.forward_begins()

    def root_output(self, module: torch.nn.Module, output: Any) -> None:
        """It gave its output; None where it raised."""
        start = perf_counter_ns()
        core = self._core
        hub = core.hub
        if hub is not None and hub.watch_modules and get_ident() == self.thread:
            self._output(module, output)
            if core.eyes.steps.timing:
                core.eyes.steps.forward_ended(module, start, raised=output is None)
            core.spent += perf_counter_ns() - start
        if self._evaluated and get_ident() == self.thread:
            self._evaluated = False
            core.eyes.answered(output)
            core.spent += perf_counter_ns() - start
        if core.eyes.sides.waits and get_ident() == self.thread:
            core.eyes.left(output)
        if core.eyes.kept.waits and get_ident() == self.thread:
            core.eyes.gave(module, output)
            core.spent += perf_counter_ns() - start

    def module_output(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A module inside it gave its output."""
        start = perf_counter_ns()
        if get_ident() == self.thread:
            self._output(module, output)
            self._core.spent += perf_counter_ns() - start
            if self._core.eyes.steps.timing:
                self._core.eyes.steps.output(module, start)

    def batch_end(self, loader: Any, batch: Any, wait_s: float) -> None:
        """A loader delivered; `None` when it has given all."""
        if self._core.asleep:
            return
        start = perf_counter_ns()
        if get_ident() != self.thread:
            return
        if batch is None:
            self._core.eyes.exhausted(loader)
            self._core.spent += perf_counter_ns() - start
            return
        self._loaders = True
        grad = torch.is_grad_enabled()
        if grad:
            progress = self._core.progress
            progress.wait_s += wait_s
            progress.waits += 1
        self._batch("loader", batch, grad=grad)
        self._core.eyes.batch(loader, batch, grad=grad)
        self._core.spent += perf_counter_ns() - start

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """A root is given the examples of a micro-batch."""
        core = self._core
        tensor = first_tensor(args, kwargs)
        core.progress.forward(int(tensor.shape[0]) if tensor is not None and tensor.dim() else 0)
        current = core.current
        if tensor is not None and current is not None and current.looks is not None:
            current.looks.input(tensor, max(core.progress.micro, 0))
            if current.looks.eyes:
                core.eyes.given(tensor)
        if not self._loaders:
            self._batch("model", (args, kwargs), grad=True)
            core.eyes.batch(None, (args, kwargs), grad=True)
        self._settings.autocast(tensor.device.type if tensor is not None else "cpu")

    def _batch(self, source: str, batch: Any, *, grad: bool) -> None:
        if self._batches.due(source, grad):
            start = perf_counter_ns()
            self._batches.look(source, batch, grad=grad)
            self._core.chosen_ns += perf_counter_ns() - start

    def _output(self, module: torch.nn.Module, output: Any) -> None:
        core = self._core
        root = core.last_root
        if root is None or not torch.is_grad_enabled():
            return
        current = core.current
        micro = core.progress.micro
        if root.training is not None and current is not None and current.looks is not None:
            if current.looks.wanted(module):
                tensor = first_tensor(output)
                if tensor is not None:
                    current.looks.module_output(module, tensor, micro)
            return
        unnamed = root.training is None or (current is not None and current.looks is None)
        if unnamed and core.first.saw(module, output):
            self._early(module, output, micro)

    def _early(self, module: torch.nn.Module, output: Any, micro: int) -> None:
        """An output of a module that has no name yet."""
        tensor = first_tensor(output)
        if tensor is None or tensor.device.type != "cpu":
            return
        tensor = first_examples(local(tensor))
        limits = limits_of(module)
        try:
            found = list(statistics_of(tensor, self._core.scratch, limits=limits))
        except Unseen as why:
            self._core.unseen[f"activation: {why}"] += 1
            return
        if limits is not None:
            found[8] *= saturation_scale(module, tensor)
        self._core.early.append((id(module), tuple(found), micro))
