"""Does what a model says of one example depend on the others in its batch?

One example is replaced by another one of the batch, in evaluation mode; the outputs of all others must stay
what they were. Layers that normalise by the batch are told apart, and so is a layout whose first dimension
counts positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from unbug.checks.probes.contract import Clock, NotPossible
from unbug.checks.probes.layout import layout_of
from unbug.checks.probes.placing import first_changed
from unbug.checks.probes.repeatable import changed_beyond, spread, steady_output
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch, row_hashes, tensors_in

__all__ = ["other_examples"]

_ASKED = 2


def other_examples(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Replace an example, and see whether outputs of others change.

    Returns:
        `examples`; `batch_dim` (null if it cannot be told), `told_by`; for dimensions 0 and 1 of the input
        `mixed_0`, `mixed_1` (share of the other slices whose output changed, null where the output has no
        such dimension) and `change_0`, `change_1` (largest, in standard deviations of the output);
        `recombined` (rows come again in other batches), `collated` (a data loader put the batch together),
        `batches_differ`, `batch_statistics` (layers that use
        the batch's own even in evaluation), `square` (an input or the output has one row for each pair),
        `module`, `class_name`.
    Raises:
        NotPossible: there is one example only, or the output is another each time.
    """
    batch = subject.batch
    layout = layout_of(batch)
    inputs = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))]
    given = inputs[layout.number]
    if given.dim() < 2:
        raise NotPossible("examples of a single number")
    model = subject.model()
    before = steady_output(subject, model, batch, clock)
    found: dict[str, Any] = {
        "examples": int(given.shape[layout.batch or 0]),
        "batch_dim": layout.batch,
        "told_by": layout.why,
        "batch_statistics": sorted(_by_batch(model)),
        **_how_batches_differ(subject, layout.number),
        "collated": batch.loader_rows == given.shape[layout.batch or 0],
        "square": _square(before, given) or any(
            _square(one, given) for one in (*inputs, *model.buffers()) if one is not given
        ),
        "others_apart": any(
            one.dim() and given.shape[layout.batch or 0] not in one.shape[:2] for one in inputs
        ),
        "module": "", "class_name": "",
    }  # fmt: skip
    for dim in (0, 1):
        clock.check()
        share, change, index = _mixing(subject, model, batch, layout.number, given, before, dim)
        found[f"mixed_{dim}"], found[f"change_{dim}"] = share, change
        if share and dim == (layout.batch or 0):
            others = torch.as_tensor([one for one in range(given.shape[dim]) if one != index])
            found.update(
                first_changed(subject, model, batch, {layout.number: swapped(given, dim, index)}, dim, others)
            )
    return found


def _mixing(
    subject: Subject, model: nn.Module, batch: KeptBatch, number: int, given: torch.Tensor,
    before: torch.Tensor, dim: int,
) -> tuple[float | None, float | None, int]:  # fmt: skip
    size = given.shape[dim]
    if size < 2 or before.dim() <= dim or before.shape[dim] != size:
        return None, None, 0
    share, change, worst = 0.0, 0.0, 0
    for index in sorted({0, size // 2})[:_ASKED]:
        with torch.no_grad():
            after = subject.out(model, batch, {number: swapped(given, dim, index)})
        if after.shape != before.shape:
            raise NotPossible("the output has another shape for other values")
        touched = changed_beyond(before, after).movedim(dim, 0).reshape(size, -1).any(1)
        others = float(touched.sum() - touched[index].long()) / (size - 1)
        if others > share:
            gap = (before - after).abs().movedim(dim, 0).reshape(size, -1).amax(1)
            gap[index] = 0
            share, change, worst = others, float(gap.max()) / spread(before), index
    return share, change, worst


def swapped(given: torch.Tensor, dim: int, index: int) -> torch.Tensor:
    """The input with one slice replaced by another that differs from it."""
    size = given.shape[dim]
    own = given.select(dim, index)
    for ahead in range(1, size):
        other = given.select(dim, (index + ahead) % size)
        if bool((other != own).any()):
            break
    changed = given.clone()
    changed.select(dim, index).copy_(other)
    return changed


def _by_batch(model: nn.Module) -> set[str]:
    """Classes of layers that normalise by the batch in evaluation, too."""
    norms = (nn.modules.batchnorm._NormBase,)
    return {
        type(one).__name__
        for one in model.modules()
        if isinstance(one, norms) and not one.track_running_stats and "InstanceNorm" not in type(one).__name__
    }


def _how_batches_differ(subject: Subject, number: int) -> dict[str, bool]:
    """Whether rows of one kept batch come again in another, and whether batches differ at all."""
    sets: list[frozenset[int]] = []
    for batch in [*subject.batches, *subject.kept.evaluated]:
        tensors = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))]
        hashes = row_hashes(tensors[number].contiguous()) if number < len(tensors) else None
        if hashes is not None:
            sets.append(frozenset(hashes.tolist()))
    differ = any(one != sets[0] for one in sets[1:])
    again = any(
        one & other and one - other and other - one and len(one & other) < 0.9 * len(one)
        for place, one in enumerate(sets[:40])
        for other in sets[place + 1 : 40]
    )
    return {"recombined": again, "batches_differ": differ}


def _square(tensor: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether a tensor has one number for each pair of examples, as an adjacency or a similarity has."""
    size = given.shape[0]
    return tensor.dim() == 2 and tuple(tensor.shape) == (size, size) and size > 1
