"""Targets beside an evaluation's inputs: most programs index tensors, and compute no loss there.

They come with the inputs from a loader, or are in sight where the model is called. Names are read in these
frames, as a debugger would; nothing is called or changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from types import FrameType

import torch

from unbug.record.kept_models import KeptBatch
from unbug.record.kept_tree import tensors_in

__all__ = ["tell_targets"]

_MOST_FRAMES, _LOOKED_AT, _MOST_NAMES, _MOST_KINDS, _MOST_COLUMNS = 40, 3, 400, 1000, 64
_WHOLE_NUMBERS = (torch.int64, torch.int32, torch.uint8)
_NUMBERS = (torch.float32, torch.float64)
_OTHERS = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120


def tell_targets(batch: KeptBatch, inputs: object, beside: Sequence[torch.Tensor]) -> None:
    """Give a batch of an evaluation its targets, where just one tensor can be these.

    Args:
        inputs: What the model is given; its tensors are no targets.
        beside: What the loader delivered with them; empty if none did.
    """
    tensors = [one for _, one in tensors_in(inputs) if one.dim()]
    sizes = {len(one) for one in tensors}
    given = {one.data_ptr() for one in tensors}
    if beside and _tell(batch, beside, sizes, given):
        batch.told_by = "loader"
        return
    for looked, frame in enumerate(_frames(), 1):
        if _tell(batch, list(_tensors(frame)), sizes, given):
            batch.told_by = "names"
            return
        if looked >= _LOOKED_AT:
            return


def _tell(batch: KeptBatch, among: Iterable[torch.Tensor], sizes: set[int], given: set[int]) -> bool:
    usable = {
        one.data_ptr(): one.detach()
        for one in among
        if one.is_cpu and one.dim() in (1, 2) and len(one) > 1 and len(one) in sizes
        and one.layout == torch.strided and one.data_ptr() not in given
    }  # fmt: skip
    classes = [one for one in usable.values() if _is_classes(one)]
    if classes:
        if len(classes) == 1:
            batch.labels = classes[0].clone()
        return len(classes) == 1
    numbers = [one for one in usable.values() if _is_numbers(one)]
    if len(numbers) == 1:
        batch.wanted = numbers[0].clone()
    return len(numbers) == 1


def _frames() -> Iterable[FrameType]:
    """Frames of the program, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return
        name = frame.f_code.co_filename
        if not name.startswith((_OWN, "<frozen")) and not any(part in name for part in _OTHERS):
            yield frame
        frame = frame.f_back


def _tensors(frame: FrameType) -> Iterable[torch.Tensor]:
    values = frame.f_locals
    for name in list(values)[:_MOST_NAMES]:
        value = values.get(name)
        if type(value) is torch.Tensor:
            yield value
        elif isinstance(value, (tuple, list)) and len(value) <= 4:
            yield from (one for one in value if type(one) is torch.Tensor)


def _is_classes(one: torch.Tensor) -> bool:
    if one.dtype not in _WHOLE_NUMBERS or one.dim() != 1:
        return False
    kinds = torch.unique(one)
    few = 2 <= len(kinds) <= min(_MOST_KINDS, max(len(one) // 2, 2))
    return bool(few and int(kinds[0]) >= 0 and int(kinds[-1]) < 2 * len(kinds) + 2)


def _is_numbers(one: torch.Tensor) -> bool:
    return (
        one.dtype in _NUMBERS and not one.requires_grad and (one.dim() == 1 or one.shape[1] <= _MOST_COLUMNS)
    )
