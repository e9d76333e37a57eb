"""Does what a sequence model says at a position depend on what comes behind it?

Only asked where the targets are the inputs one position later. Tokens behind a cut are replaced by others of
the same batch; the outputs in front of the cut must stay what they were.
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
from unbug.record import KeptBatch, tensors_in

__all__ = ["later_positions"]

_CUTS = 3


def later_positions(subject: Subject, clock: Clock) -> dict[str, Any]:
    """Change the input behind a few cuts, and see whether outputs in front of them change.

    Returns:
        `cuts`, `leaking_cuts`, `next_leaks` (changing only the very next position is enough), `change`
        (largest, in standard deviations of the output), `module`, `class_name` (where it happens first).
    Raises:
        NotPossible: targets are not the inputs one position later, or positions cannot be told in the output.
    """
    batch = subject.batch_with_loss()
    layout = layout_of(batch)
    if layout.time is None:
        raise NotPossible("the targets are not the inputs one position later")
    given = [one for _, one in tensors_in((batch.args, dict(batch.kwargs)))][layout.number]
    time, length = layout.time, given.shape[layout.time]
    model = subject.model()
    before = steady_output(subject, model, batch, clock)
    positions = _positions(before, given, time)
    cuts = sorted({max(1, length * (one + 1) // (_CUTS + 1)) for one in range(_CUTS)})
    leaking, largest, next_leaks, worst = 0, 0.0, 0, -1
    for cut in cuts:
        clock.check()
        change = _beyond(subject, model, batch, layout.number, given, time, cut, length, positions, before)
        if change > 0:
            leaking += 1
            largest, worst = max(largest, change), cut
            near = _beyond(subject, model, batch, layout.number, given, time, cut, cut + 1, positions, before)
            next_leaks += near > 0
    found: dict[str, Any] = {
        "cuts": len(cuts), "leaking_cuts": leaking, "next_leaks": next_leaks, "change": largest,
        "positions": length,
    }  # fmt: skip
    if leaking:
        other = replaced(given, time, worst, length)
        found.update(first_changed(subject, model, batch, {layout.number: other}, time, range(worst)))
    return found


def _beyond(
    subject: Subject, model: nn.Module, batch: KeptBatch, number: int, given: torch.Tensor, time: int,
    cut: int, until: int, positions: int, before: torch.Tensor,
) -> float:  # fmt: skip
    """The largest change in front of a cut, where the input from it on is another; 0 if none."""
    with torch.no_grad():
        after = subject.out(model, batch, {number: replaced(given, time, cut, until)})
    one, other = unflat(before, given, time).narrow(positions, 0, cut), unflat(after, given, time)
    other = other.narrow(positions, 0, cut)
    if not bool(changed_beyond(one, other).any()):
        return 0.0
    return float((one - other).abs().max()) / spread(before)


def replaced(given: torch.Tensor, dim: int, start: int, end: int) -> torch.Tensor:
    """Positions from `start` to `end` get what stands elsewhere in the batch."""
    other = given.clone()
    part = given.narrow(dim, start, end - start)
    values = given.reshape(-1)
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):
        drawn = values[torch.randint(0, values.numel(), part.shape, generator=generator)]
        other.narrow(dim, start, end - start).copy_(drawn)
        if bool((other.narrow(dim, start, end - start) != part).any()):
            break
    return other


def unflat(output: torch.Tensor, given: torch.Tensor, time: int) -> torch.Tensor:
    """An output whose positions were flattened with the examples, apart again."""
    sizes = tuple(given.shape[:2])
    if output.shape[:2] == sizes or output.dim() < 1 or output.shape[0] != sizes[0] * sizes[1]:
        return output
    return output.reshape(*sizes, *output.shape[1:])


def _positions(output: torch.Tensor, given: torch.Tensor, time: int) -> int:
    """The dimension of the output that counts positions."""
    shape, length = unflat(output, given, time).shape, given.shape[time]
    if len(shape) >= 2 and shape[:2] == given.shape[:2]:
        return time
    if len(shape) == 3 and time == 1 and shape[0] == given.shape[0] and shape[2] == length != shape[1]:
        return 2
    raise NotPossible("positions cannot be told in the output")
