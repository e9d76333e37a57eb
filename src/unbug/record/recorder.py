"""The hub's listener: knows which training, step and place each call belongs to, and has it written.

Every method runs in the thread where things happen. Each adds the time that it took to `spent`, which the
budget takes off. Nothing of the program's is kept alive.
"""

from __future__ import annotations

import random as random_module
import time
import traceback
from collections.abc import Callable, Mapping
from threading import get_ident
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from unbug.record.batches import Batches
from unbug.record.core import Core
from unbug.record.coverage import coverage_of
from unbug.record.items import first_examples, limits_of, saturation_scale
from unbug.record.losses import Losses
from unbug.record.parents import parameters_now
from unbug.record.refs import swapped, swapping
from unbug.record.resumed import resumed_from
from unbug.record.settings_seen import SettingsSeen
from unbug.record.steps import Steps
from unbug.record.tensors import Unseen, first_tensor, local, statistics_of
from unbug.types import Phase

if TYPE_CHECKING:
    from unbug.hooks import Frame, Hub, LossCall
    from unbug.store import Writer

__all__ = ["Recorder"]

_MOST_SNAPSHOTS = 4
_MOST_PENDING = 1024
_FIRST_PASSES = 3


class Recorder:
    """Records what a hub tells.

    Args:
        writer: Where rows and events go.
        budget: Share of the program's own time that may be spent on looking.
        every: Look at everything every so many steps, whatever it costs; None for by budget alone.
        clock_ns: Monotonic; stamps rows and events.
        resumed: This process goes on with a run: `resumed_from` will be asked.
        random: Chooses the steps that are left unwatched to measure the true cost; never the program's.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        budget: float = 0.02,
        every: int | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        resumed: bool = False,
        random: random_module.Random | None = None,
    ) -> None:
        self._core = Core(
            writer, budget=budget, every=every, clock_ns=clock_ns, random=random or random_module.Random()
        )
        self._core.resumed = resumed
        self._settings = SettingsSeen(self._core)
        self._steps = Steps(self._core, self._settings)
        self._losses = Losses(self._core)
        self._batches = Batches(self._core)
        self._thread = get_ident()
        self._snapshots = 0
        self._gradient_calls = 0
        self._backward_seen = False
        self._loaders = False
        self._closed = False

    # For the session.
    def bind(self, hub: Hub) -> None:
        """Let the recorder switch the watching of modules on and off."""
        self._core.hub = hub

    def watch(
        self, model: torch.nn.Module, optimizer: Optimizer | None = None, *, name: str | None = None
    ) -> None:
        """Declare a model whose paths begin at it, under a name of the user's; and an optimizer."""
        core = self._core
        if name is not None:
            core.given_names[id(model)] = name
        if core.roots.get(model) is None:
            core.roots.add(model)
        if optimizer is not None:
            core.trainings.state(optimizer)

    def position(self) -> tuple[int, int, int, int]:
        """Training, step, micro and phase of what happens now. After a step it is still that step."""
        return self._core.position()

    def resumed_from(self, training: int) -> int | None:
        """Steps made in earlier attempts, as the training's optimizer counts them; None if it does not."""
        return resumed_from(self._core.trainings, training)

    def coverage(self) -> dict[str, Any]:
        """What was recorded how often, at what cost, and what could not be seen."""
        return coverage_of(
            self._core, self._settings.compiled, self._losses.not_followed, self._gradient_calls
        )

    def close(self) -> None:
        """Write what is pending and the last events. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._steps.close()
        core = self._core
        number, step, _, _ = core.position()
        core.rows.flush(number, step)
        core.rows.poll(wait=True)
        self._losses.close()
        core.eyes.close()
        for watched in core.watched.values():
            watched.training.ended = True
            core.writer.training(watched.training.record())

    # What the hub tells: modules.
    def root_forward(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        if get_ident() != self._thread:
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
            if root.training is None and core.trainings.of_root(root) is None:
                core.watch_modules(count < _FIRST_PASSES and bool(root.parameters))
            elif core.current is not None and core.current.looks is not None:
                core.watch_modules(core.current.looks.wants_modules)
            if progress.expects_batch:
                self._given(args, kwargs)
        else:
            core.phase = Phase.EVAL
            core.watch_modules(False)
            if not self._loaders:
                self._batch("model", (args, kwargs), grad=False)
                core.eyes.batch(None, (args, kwargs), grad=False)
        if count == 0 and not (evaluates and grad):  # else it may yet turn out to be a training
            self._settings.mode(root, module, grad=grad)
        core.spent += perf_counter_ns() - start
        if grad and root.training is not None:
            core.eyes.steps.forward_begins()

    def root_output(self, module: torch.nn.Module, output: Any) -> None:
        start = perf_counter_ns()
        core = self._core
        hub = core.hub
        if hub is not None and hub.watch_modules and get_ident() == self._thread:
            self._output(module, output)
            if core.eyes.steps.timing:
                core.eyes.steps.forward_ended(module, start, raised=output is None)
            core.spent += perf_counter_ns() - start

    def module_output(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        start = perf_counter_ns()
        if get_ident() == self._thread:
            self._output(module, output)
            self._core.spent += perf_counter_ns() - start
            if self._core.eyes.steps.timing:
                self._core.eyes.steps.output(module, start)

    # Backward.
    def backward_begin(self, tensors: tuple[torch.Tensor, ...], frame: Frame | None) -> None:
        if self._core.asleep:
            self._steps.dozing.told_backward(tensors)
            return
        start = perf_counter_ns()
        core = self._core
        progress = core.progress
        self._backward_seen = True
        self._steps.word_may_end()
        core.letters.add("B")
        core.phase = Phase.TRAIN
        if not progress.open:
            progress.begin_window()
        progress.backward(tensors, in_step=self._steps.in_step)
        core.eyes.steps.backward(tensors)
        for stale in self._steps.stales:
            stale.backward_begins()
        core.spent += perf_counter_ns() - start

    def backward_end(self, raised: bool) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        steps = self._steps
        for stale in steps.stales:
            stale.backward_ended()
        if not self._core.trainings.made and not raised:
            steps.without_optimizer()
        self._core.spent += perf_counter_ns() - start

    def autograd_grad(self, outputs: tuple[torch.Tensor, ...], frame: Frame | None) -> None:
        start = perf_counter_ns()
        core = self._core
        self._gradient_calls += 1
        if core.trainings.made:
            if core.progress.micro == 0 and core.progress.open and not core.progress.losses:
                core.progress.take(outputs)
        elif not self._backward_seen and sum(one.numel() for one in outputs) == 1:
            self._steps.word_may_end()
            core.letters.add("B")
            if not core.progress.open:
                core.progress.begin_window()
            core.progress.backward(outputs, in_step=False)
            self._steps.without_optimizer()
        core.spent += perf_counter_ns() - start

    # Optimizers.
    def optimizer_created(self, optimizer: Optimizer, frame: Frame | None) -> None:
        start = perf_counter_ns()
        core = self._core
        self._thread = get_ident()
        state = core.trainings.created(optimizer, frame)
        self._steps.something_new()
        if self._snapshots < _MOST_SNAPSHOTS:
            self._snapshots += 1
            state.known_then = parameters_now()
        core.setup_ns += perf_counter_ns() - start

    def step_begin(self, optimizer: Optimizer) -> None:
        if self._core.asleep and self._steps.sleeps_through(optimizer):
            return
        start = perf_counter_ns()
        self._steps.begin(optimizer)
        self._core.spent += perf_counter_ns() - start

    def step_end(self, optimizer: Optimizer) -> None:
        if self._core.asleep:
            self._steps.sleep_on(optimizer)
            return
        self._steps.end(optimizer, perf_counter_ns())

    def step_raised(self, optimizer: Optimizer) -> None:
        start = perf_counter_ns()
        self._steps.raised()
        self._core.spent += perf_counter_ns() - start

    def zero_grad(self, target: Optimizer | torch.nn.Module) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        core = self._core
        letter = "Z"
        self._steps.cleared()
        self._steps.word_may_end()
        if isinstance(target, Optimizer):
            state = core.trainings.state(target)
            self._steps.stale_of(state).cleared()
            if state.training is not None and state.training.primary is not state:
                letter = "z"
        core.letters.add(letter)
        core.spent += perf_counter_ns() - start

    def clip(self, kind: str, limit: float, norm: torch.Tensor | None, frame: Frame | None) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        self._core.letters.add("C")
        self._steps.clipped(limit, norm)
        self._core.spent += perf_counter_ns() - start

    def scheduler_step(self, scheduler: Any) -> None:
        if not self._core.asleep:
            self._core.letters.add("L")

    def scaler_step(self, optimizer: Optimizer, scale: float, skipped: bool) -> None:
        if self._core.asleep:
            self._steps.sleep_on(optimizer, scale=scale, skipped=skipped)
            return
        start = perf_counter_ns()
        self._settings.scaler(scale, skipped)
        self._steps.scaled(optimizer, scale, skipped, start)

    # Losses and data.
    def loss_call(self, call: LossCall) -> None:
        if self._core.asleep and torch.is_grad_enabled():
            return
        start = perf_counter_ns()
        if get_ident() != self._thread:
            return
        core = self._core
        self._losses.call(call)
        if core.eyes.steps.wants_losses:
            core.eyes.steps.loss(call)
        if len(core.rows) > _MOST_PENDING:
            number, step, _, _ = core.position()
            core.rows.flush(number, step)
        core.spent += perf_counter_ns() - start

    def batch_begin(self, loader: Any) -> None:
        return

    def batch_end(self, loader: Any, batch: Any, wait_s: float) -> None:
        if self._core.asleep:
            return
        start = perf_counter_ns()
        if get_ident() != self._thread:
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

    # The process.
    def seeded(self, generator: str, seed: int | None) -> None:
        self._settings.seeded(generator, seed)

    def swapping(self, tensors: tuple[torch.Tensor, ...]) -> None:
        swapping(tensors)

    def swapped(self, tensors: tuple[torch.Tensor, ...]) -> None:
        swapped(tensors)

    def compiled(self, what: str) -> None:
        self._settings.compile(what)

    def fault(self, where: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error, limit=-20))
        self._core.event("fault", {"where": where, "error": text, "traceback": trace})
        self._core.faults.append(f"{where}: {type(error).__name__}: {error}")

    # Helpers.
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
        if root.training is None and core.first.saw(module, output):
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
