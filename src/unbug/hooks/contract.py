"""What a live torch process tells: one stream of calls, made in the thread where things happen.

The hub calls a listener's methods directly; there is no queue, so a listener must be quick and must not
keep user tensors alive. Whatever a listener raises is caught by the hub at one place, reported through
`fault`, and switches that listener off; training goes on. The hub never calls a listener while torch
compiles, exports, traces, scripts or transforms (functorch), nor with fake or proxy tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer

__all__ = ["Frame", "Listener", "LossCall", "Nap"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of the user's program: the innermost frame outside site-packages, the standard library and
    unbug."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class LossCall:
    """One outermost call of a loss of `torch.nn.functional`.

    Args:
        function: Its name, e.g. `cross_entropy`.
        arguments: By parameter name, as they were on return (`reduction` is the effective one); tensors are
            the user's own, to be looked at before the method returns and not kept.
        value: What it returned.
    """

    function: str
    arguments: Mapping[str, Any]
    value: torch.Tensor
    frame: Frame | None


class Nap(Protocol):
    """What takes the place of a listener that sleeps, in the calls that every step makes.

    They run with caches that the step has emptied, where a Python call costs ten times what it costs in a
    loop. So they are called with no guard around them: a method must not compute with a tensor, only read it.
    """

    def backward(self, tensor: torch.Tensor) -> bool:
        """Before backward is called on one plain tensor; False if the listener is to be told as ever."""
        ...

    def begins(self, optimizer: Optimizer) -> bool:
        """Before a step; False if the listener is to be told as ever."""
        ...

    def stepped(self, optimizer: Optimizer) -> bool:
        """After a step that did not raise; False if the listener is to be told as ever."""
        ...

    def batch(self, batch: Any, wait_s: float) -> None:
        """A data loader delivered, while gradients are wanted."""


class Listener(Protocol):
    """Every method is called with grad mode and generators as the program left them, and must leave them
    so."""

    # Modules. Depth 0 is a forward that no other forward encloses, in this thread, outside backward.
    def root_forward(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before a depth-0 forward."""

    def root_output(self, module: torch.nn.Module, output: Any) -> None:
        """After it; also when it raised (`output` is None then)."""

    def module_output(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """After an inner forward; only while `hub.watch_modules` is true."""

    # Backward.
    def backward_begin(self, tensors: tuple[torch.Tensor, ...], frame: Frame | None) -> None:
        """Before the outermost `backward`; the tensors are what it was called on (scaled by GradScaler, if
        any)."""

    def backward_end(self, raised: bool) -> None: ...

    def autograd_grad(self, outputs: tuple[torch.Tensor, ...], frame: Frame | None) -> None:
        """After an outermost `torch.autograd.grad` (its users never call backward)."""

    # Optimizers.
    def optimizer_created(self, optimizer: Optimizer, frame: Frame | None) -> None:
        """Also called once, on installation, for each optimizer that is alive already."""

    def step_begin(self, optimizer: Optimizer) -> None: ...

    def step_end(self, optimizer: Optimizer) -> None: ...

    def step_raised(self, optimizer: Optimizer) -> None:
        """In place of `step_end`, where the step raised; also where `step_begin` or `step_end` did."""

    def zero_grad(self, target: Optimizer | torch.nn.Module) -> None: ...

    def clip(self, kind: str, limit: float, norm: torch.Tensor | None, frame: Frame | None) -> None:
        """After `clip_grad_norm_` (`kind="norm"`, with the norm it computed) or `clip_grad_value_`
        (`"value"`)."""

    def scheduler_step(self, scheduler: Any) -> None: ...

    def scaler_step(self, optimizer: Optimizer, scale: float | torch.Tensor, skipped: bool) -> None:
        """After `GradScaler.step`; `scale` is a copy where it lies on a device; `skipped` when it left the
        optimizer alone because of non-finite gradients."""

    # Losses and data.
    def loss_call(self, call: LossCall) -> None: ...

    def batch_begin(self, loader: Any) -> None: ...

    def batch_end(self, loader: Any, batch: Any, wait_s: float) -> None:
        """A data loader delivered; `batch` is None where it was exhausted."""

    # The process.
    def seeded(self, generator: str, seed: int | None) -> None:
        """`torch.manual_seed`, `numpy.random.seed`, `random.seed` were called."""

    def swapping(self, tensors: tuple[torch.Tensor, ...]) -> None:
        """Two tensors are about to be swapped: no weak reference to them may be left."""

    def swapped(self, tensors: tuple[torch.Tensor, ...]) -> None:
        """They were, or it failed; each is the same object as before."""

    def compiled(self, what: str) -> None:
        """`torch.compile` (or `Module.compile`) was asked for: inner modules cannot be seen there."""

    def fault(self, where: str, error: BaseException) -> None:
        """A listener, or the hub itself, failed in `where`; that part is off from now on."""
