"""A few batches with their targets, and the model that was given them: what probes at the end work on.

Copied are the small batches of the first steps, and a recent one at calls 1, 2, 5, 10, 20, 50, … of a model,
so that their number grows with the logarithm of the steps. The last training's models are held by reference,
and let go when another training begins or the run closes.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import torch

from unbug.record.kept_links import KeptLoss, Link, find_link
from unbug.record.kept_models import KeptBatch, KeptModel, next_told
from unbug.record.kept_tree import NotKept, copied, first_rows, size_bytes, tensors_in
from unbug.record.made_by import made_by
from unbug.record.near_targets import tell_targets
from unbug.record.sight import TOLD_AT

if TYPE_CHECKING:
    from unbug.hooks import LossCall
    from unbug.record.core import Core
    from unbug.record.roots import Root

__all__ = ["HELD_BYTES", "KeptBatches"]

HELD_BYTES = 64 << 20
"""Models of at most so many bytes are held for the end; larger ones are probed if the program holds them."""
_WHOLE_BYTES, _SMALL_BYTES, _ALL_BYTES = 8 << 20, 256 << 10, 16 << 20
_SMALL_CALLS, _SMALL_EVALUATIONS = 60, 40
_FIRST_EVALUATIONS, _EVALUATION_ROWS = 8, 1024
_WHOLE_NUMBERS = (torch.int64, torch.int32, torch.uint8)
_MOST_MODELS, _MOST_SWITCHES = 4, 100


@dataclass(slots=True)
class _Pending:
    """A call whose output, and then loss, are waited for. `inside`: the model computes the loss itself.
    `over`: the output was let go; losses are counted still."""

    batch: KeptBatch
    key: int
    outputs: list[tuple[tuple[Any, ...], torch.Tensor]] | None = None
    inside: LossCall | None = None
    over: bool = False


class KeptBatches:
    """Called by the recorder, while it is awake."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.models: dict[int, KeptModel] = {}
        self.is_on = True
        self._training, self._switches = -1, 0
        self._pending: _Pending | None = None
        self._links: dict[tuple[int, str, int, tuple[int, ...]], Link | None] = {}
        self._loaded: int | None = None
        self._beside: tuple[torch.Tensor, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether an output or a loss is waited for."""
        return self._pending is not None

    def let_go(self) -> None:
        """Keep nothing, from now on."""
        self.is_on = False
        self.models, self._pending, self._links = {}, None, {}

    def sleeps(self, module: torch.nn.Module, *, evaluates: bool) -> bool:
        """Whether a call of a root module is one of which nothing is kept; it is counted."""
        if not self.is_on:
            return True
        known = self.models.get(id(module))
        if known is None or evaluates:
            return False
        known.calls += 1
        if known.calls < known.due:
            self._pending = None
            return True
        return False

    def loader(self, batch: Any, *, grad: bool) -> None:
        """A data loader delivered. Of an evaluation's batch the labels are kept until the next one."""
        first = next(tensors_in(batch), None)
        self._loaded = len(first[1]) if first is not None and first[1].dim() else None
        self._beside = ()
        if not grad and self.is_on and self._loaded is not None:
            self._beside = tuple(one.detach() for _, one in tensors_in(batch) if one.dim() in (1, 2))

    def given(
        self, root: Root, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any],
        *, evaluates: bool,
    ) -> None:  # fmt: skip
        """A root module is about to run."""
        self._pending = None
        if not self.is_on or not root.parameters:
            return
        known = self.models.get(id(module))
        model = self._model(module, evaluates=evaluates)
        if model is None or model.why_not:
            return
        if evaluates:
            model.evaluations += 1
            count, cap = model.evaluations, _WHOLE_BYTES
            few = len(model.evaluated) < _SMALL_EVALUATIONS
            due = few and (count <= _FIRST_EVALUATIONS or count in TOLD_AT or self._pays())
        else:
            model.calls += model is not known
            whole = model.calls in TOLD_AT
            few = len(model.small) < _SMALL_CALLS and self._pays()
            due, cap = whole or few, _WHOLE_BYTES if whole else _SMALL_BYTES
            model.due = model.calls + 1 if few else next_told(model.calls)
        if due:
            start = perf_counter_ns()
            self._keep(model, module, args, kwargs, cap, evaluates=evaluates)
            self._core.chosen_ns += perf_counter_ns() - start

    def output(self, module: torch.nn.Module, output: Any) -> None:
        """The root module gave its output; None if it raised."""
        pending = self._pending
        if pending is None or pending.over or pending.key != id(module):
            return
        outputs = [(path, tensor.detach()) for path, tensor in tensors_in(output)]
        pending.outputs = outputs
        pending.batch.output_shapes = tuple(tuple(tensor.shape) for _, tensor in outputs)
        inside = pending.inside
        if inside is not None:
            counts = not torch.is_grad_enabled()  # in an evaluation no output has a gradient
            scalars = [
                path for path, one in tensors_in(output)
                if one.numel() == 1 and (one.requires_grad or counts)
                and torch.equal(one.detach(), inside.value.detach())
            ]  # fmt: skip
            pending.batch.loss = self._inner(inside, scalars[0]) if scalars else None
            self._pending = None

    def loss(self, call: LossCall) -> None:
        """A loss gave its value."""
        pending = self._pending
        if pending is None:
            return
        pending.batch.losses += 1
        if pending.over:
            return
        if pending.outputs is None:
            pending.inside = call
            return
        start = perf_counter_ns()
        given = call.arguments.get("input")
        if isinstance(given, torch.Tensor):
            link = self._link(pending, call, given)
            if link is not None and pending.batch.loss is None:
                pending.batch.loss = _kept(call, given, link, pending.batch)
        self._core.chosen_ns += perf_counter_ns() - start

    def backward(self) -> None:
        """Gradients are about to be computed, when memory is shortest: the output is held no longer."""
        pending = self._pending
        if pending is not None:
            pending.outputs, pending.inside, pending.over = None, None, True

    # Helpers.
    def _pays(self) -> bool:
        current = self._core.current
        return current is None or self._core.budget.first_steps(current.training.steps)

    def _model(self, module: torch.nn.Module, *, evaluates: bool) -> KeptModel | None:
        number = max(self._core.number(), 0)
        if number != self._training:
            self._switches += not evaluates
            if evaluates or self._switches > _MOST_SWITCHES:
                return None
            self.models, self._links, self._training = {}, {}, number
        model = self.models.get(id(module))
        if model is not None and model.root() is module:
            return model
        if len(self.models) >= _MOST_MODELS:
            return None
        size = sum(one.numel() * one.element_size() for one in module.parameters())
        held = module if size <= HELD_BYTES and all(one.is_cpu for one in module.parameters()) else None
        model = self.models[id(module)] = KeptModel(weakref.ref(module), held, number)
        return model

    def _keep(
        self, model: KeptModel, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any],
        cap: int, *, evaluates: bool,
    ) -> None:  # fmt: skip
        size, rows = size_bytes((args, dict(kwargs))), None
        given: tuple[Any, Any] = (args, dict(kwargs))
        try:
            if size > cap and not evaluates and cap < _WHOLE_BYTES:
                return
            longest = max((int(one.shape[0]) for _, one in tensors_in(given) if one.dim()), default=0)
            if (size > cap or (evaluates and longest > _EVALUATION_ROWS)) and longest:
                rows = max(1, min(_EVALUATION_ROWS, int(longest * cap / max(size, 1))))
                given = first_rows(given, rows, longest)
            if model.held_bytes + min(size, cap) > _ALL_BYTES and (evaluates or cap < _WHOLE_BYTES):
                return
            kept_args, kept_kwargs = copied(given)
        except NotKept as why:
            model.why_not = str(why)
            return
        batch = KeptBatch(
            kept_args, kept_kwargs, self._core.position()[1], module.training, rows, longest, self._loaded
        )
        if evaluates:
            if rows is None:
                tell_targets(batch, given, self._beside)
            model.evaluated.append(batch)
            model.held_bytes += size_bytes(given)
        else:
            if size <= _SMALL_BYTES and len(model.small) < _SMALL_CALLS:
                model.small.append(batch)
                model.held_bytes += size
            if cap == _WHOLE_BYTES:
                model.recent.append(batch)
            self._optimizer(model)
        self._pending = _Pending(batch, id(module))

    def _optimizer(self, model: KeptModel) -> None:
        current = self._core.current
        state = current.training.primary if current is not None else None
        optimizer = state.ref() if state is not None else None
        if optimizer is not None and optimizer.param_groups:
            options = {key: one for key, one in optimizer.param_groups[0].items() if key != "params"}
            model.optimizer = type(optimizer), options

    def _link(self, pending: _Pending, call: LossCall, given: torch.Tensor) -> Link | None:
        line = call.frame.line if call.frame is not None else 0
        shapes = (*given.shape, -1, *(size for _, one in pending.outputs or () for size in one.shape))
        key = (pending.key, call.function, line, shapes)
        if key not in self._links:
            if len(self._links) > 256:
                self._links.clear()
            self._links[key] = find_link(pending.outputs or (), given)
        return self._links[key]

    def _inner(self, call: LossCall, path: tuple[Any, ...]) -> KeptLoss | None:
        given = call.arguments.get("input")
        kept = _kept(call, given, None, None) if isinstance(given, torch.Tensor) else None
        if kept is None:
            return None
        return KeptLoss(
            kept.function, {}, kept.target, None, kept.input_shape, kept.file, kept.line, kept.input_op, path
        )


def _kept(call: LossCall, given: torch.Tensor, link: Link | None, batch: KeptBatch | None) -> KeptLoss | None:
    rows = batch.rows if batch is not None else None
    arguments: dict[str, Any] = {}
    for name, value in call.arguments.items():
        if name == "input":
            continue
        if isinstance(value, torch.Tensor):
            if value.requires_grad or value.device.type != "cpu":
                return None
            value = value.detach()
            if rows is not None and batch is not None and value.dim() and len(value) == batch.longest:
                value = value[:rows]
            value = value.clone()
        elif not isinstance(value, (type(None), bool, int, float, str)):
            return None
        arguments[name] = value
    target = arguments.get("target")
    frame = call.frame
    return KeptLoss(
        call.function,
        arguments,
        target if isinstance(target, torch.Tensor) else None,
        link,
        tuple(given.shape),
        frame.file if frame is not None else "",
        frame.line if frame is not None else 0,
        made_by(given),
    )
