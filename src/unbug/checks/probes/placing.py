"""Where in a model something happens first: the module whose output changed though its input had not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from unbug.checks.probes.contract import NotPossible
from unbug.checks.probes.repeatable import changed_beyond
from unbug.checks.probes.subject import Subject
from unbug.record import KeptBatch, tensors_in

__all__ = ["first_changed"]

_MOST_BYTES = 32 << 20


def first_changed(
    subject: Subject, model: nn.Module, batch: KeptBatch, change: Mapping[int, torch.Tensor], dim: int,
    kept: range | torch.Tensor,
) -> dict[str, Any]:  # fmt: skip
    """The module that lets a change of the input through to where it does not belong.

    Args:
        change: As for `Subject.call`.
        dim, kept: Indices along a dimension of the input that were not changed; there, a module's output must
            not change either. Modules whose output has no such dimension are not asked.
    Returns:
        `module` (path) and `class_name` of the innermost such module; empty strings if none was found.
    """
    size = max((one.shape[dim] for _, one in tensors_in((batch.args, dict(batch.kwargs))) if one.dim() > dim),
               default=0)  # fmt: skip
    index = torch.as_tensor(list(kept)) if isinstance(kept, range) else kept

    def dirty(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
        if one is None or other is None or one.shape != other.shape:
            return False
        if one.dim() <= dim or one.shape[dim] != size:
            return False
        one, other = one.index_select(dim, index), other.index_select(dim, index)
        if not one.is_floating_point():
            return bool((one != other).any())
        return bool(changed_beyond(one, other).any())

    plain, changed = _passes(subject, model, batch, None), _passes(subject, model, batch, dict(change))
    for path, (given, output) in plain.items():  # in the order of their outputs: inner ones come first
        if (
            path
            and path in changed
            and dirty(output, changed[path][1])
            and not dirty(given, changed[path][0])
        ):
            return {"module": path, "class_name": type(model.get_submodule(path)).__name__}
    return {"module": "", "class_name": ""}


Pass = tuple[torch.Tensor | None, torch.Tensor]


def _passes(
    subject: Subject, model: nn.Module, batch: KeptBatch, change: dict[int, torch.Tensor] | None
) -> dict[str, Pass]:
    """First tensors that each module is given and gives, by path, in the order of the outputs."""
    found: dict[str, Pass] = {}
    room = _MOST_BYTES
    handles = []

    def keep(path: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            nonlocal room
            first = next((one for _, one in tensors_in(output) if one.is_floating_point()), None)
            if first is None or path in found:
                return
            before = next((one for _, one in tensors_in(given)), None)
            for one in (first, before):
                room -= one.numel() * one.element_size() if one is not None else 0
            if room > 0:
                found[path] = (before.clone() if before is not None else None), first.clone()

        return hook

    for path, module in model.named_modules():
        handles.append(module.register_forward_hook(keep(path)))
    try:
        with torch.no_grad():
            subject.call(model, batch, change)
    except NotPossible:
        return {}
    finally:
        for handle in handles:
            handle.remove()
    return found
