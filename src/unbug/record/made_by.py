"""Which operation gave a tensor its values: the mechanism behind a suspicious range."""

from __future__ import annotations

import torch

__all__ = ["made_by"]

_MOST = 12
_SHAPE_ONLY = (
    "View", "UnsafeView", "Reshape", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute",
    "Select", "Slice", "Index", "Expand", "Clone", "ToCopy", "Unbind", "Split", "SplitWithSizes", "Alias",
    "Narrow", "Flatten", "AsStrided", "Diagonal", "Movedim",
)  # fmt: skip


def made_by(tensor: torch.Tensor) -> str:
    """Name the operation that computed the values, behind those that only rearrange them.

    Returns:
        The autograd node's name without its ending, e.g. `Sigmoid`, `Softmax`, `Addmm`; empty for a tensor
        without a graph, and where a dozen rearrangements lead nowhere.
    """
    node = tensor.grad_fn
    for _ in range(_MOST):
        if node is None:
            return ""
        name = type(node).__name__.rstrip("0123456789").removesuffix("Backward")
        if name not in _SHAPE_ONLY:
            return name
        node = next((source for source, _ in node.next_functions if source is not None), None)
    return ""
