"""What a tensor holds, asked so that neither the program's modes nor its tensor subclasses see it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["addresses", "all_sound", "is_tensor", "tensor_number"]

HEAD = 65_536
"""Elements of each tensor that are looked at for a NaN or a plus infinity."""
MOST = 1 << 24
"""And of all together: 64 MB of float32, some ten milliseconds."""


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor of torch, without importing it."""
    torch = sys.modules.get("torch")
    kind = getattr(torch, "Tensor", None)
    return kind is not None and isinstance(value, kind)


def tensor_number(tensor: Any, *, read: bool) -> float | None:
    """The one number in a tensor; None if there are several, or none that can be had.

    Args:
        read: What lies on a device may be fetched, since the program waits for it anyway.
    """
    from unbug.hooks import shims

    try:
        if shims.blocked() or not shims.has_values(tensor):
            return None
        with shims.unwatched():
            if tensor.numel() != 1 or tensor.is_complex() or not (read or tensor.device.type == "cpu"):
                return None
            return float(tensor.item())
    except Exception:
        return None


def all_sound(tensors: Iterable[Any]) -> bool | None:
    """Whether there is no NaN and no plus infinity in the first elements of each tensor on the CPU.

    Minus infinity is what attention masks are made of. None if there was no tensor to look at.
    """
    looked_at = 0
    sound: bool | None = None
    for tensor in tensors:
        if looked_at >= MOST:
            break
        try:
            head = _head(tensor)
        except Exception:  # a kind of tensor, or of number, that cannot be asked
            continue
        if head is None:
            continue
        size, is_sound = head
        looked_at += size
        if not is_sound:
            return False
        sound = True
    return sound


def _head(tensor: Any) -> tuple[int, bool] | None:
    """How many elements of a tensor were looked at, and whether these are sound."""
    import torch

    from unbug.hooks import shims

    if shims.blocked() or not shims.has_values(tensor):
        return None
    with shims.unwatched(), torch.no_grad():
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided or not tensor.numel():
            return None
        if not tensor.is_floating_point() or (not tensor.is_contiguous() and tensor.numel() > HEAD):
            return None
        head = tensor.detach().reshape(-1)[:HEAD]
        quick = math.isfinite(head.sum().item())  # one pass; what it cannot say is looked at one by one
        return head.numel(), quick or bool((head < math.inf).all())


def addresses(tensors: Iterable[Any]) -> list[tuple[int, tuple[int, ...]]]:
    """Address and shape of each tensor that lies in memory."""
    from unbug.hooks import shims

    found = []
    for tensor in tensors:
        try:
            if shims.has_values(tensor):
                with shims.unwatched():
                    at = int(tensor.data_ptr())
                    if at:
                        found.append((at, tuple(tensor.shape)))
        except Exception:  # one without storage
            continue
    return found
