"""How the input of a loss comes of what the model gave: found by comparing values, to be repeated.

Programs hand the output on as it is, flattened, cut, or with dimensions swapped; where none of these gives
the same numbers, the loss cannot be computed again and nothing is claimed about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from unbug.record.kept_tree import tensors_in

__all__ = ["KeptLoss", "Link", "find_link", "follow"]

Path = tuple[Any, ...]
Change = Callable[[torch.Tensor], torch.Tensor]

_CUTS: dict[str, Change] = {
    "all": lambda out: out,
    "all but the last position": lambda out: out[:, :-1],
    "all but the first position": lambda out: out[:, 1:],
    "the last position": lambda out: out[:, -1],
    "the first position": lambda out: out[:, 0],
    "the last column": lambda out: out[..., -1],
    "the first column": lambda out: out[..., 0],
    "the last step": lambda out: out[-1],
    "dimensions 1 and 2 swapped": lambda out: out.transpose(1, 2),
    "dimensions 0 and 1 swapped": lambda out: out.transpose(0, 1),
    "channels last": lambda out: out.movedim(1, -1),
}
_MADE: dict[str, Change] = {
    "": lambda out: out,
    "sigmoid": torch.sigmoid,
    "softmax": lambda out: torch.softmax(out, -1),
    "log_softmax": lambda out: torch.log_softmax(out, -1),
    "tanh": torch.tanh,
}
_COMPARED, _MOST_ELEMENTS = 4096, 1 << 20


@dataclass(frozen=True, slots=True)
class Link:
    """Where in the output the loss's input lies, and what was done to it."""

    path: Path
    cut: str = "all"
    made: str = ""


@dataclass(frozen=True, slots=True)
class KeptLoss:
    """A loss call that can be made again.

    Args:
        arguments: By name, less the input; tensors are copies.
        link: How its input comes of the output; None if the model gives the loss itself, at `path`.
        input_op: The operation that made its input.
    """

    function: str
    arguments: dict[str, Any]
    target: torch.Tensor | None
    link: Link | None
    input_shape: tuple[int, ...]
    file: str = ""
    line: int = 0
    input_op: str = ""
    path: Path = field(default=())


def find_link(outputs: Sequence[tuple[Path, torch.Tensor]], given: torch.Tensor) -> Link | None:
    """The link from an output to what a loss was given; None if there is none that is known.

    Args:
        outputs: Tensors that the model gave, detached.
    """
    given = given.detach()
    for path, output in outputs:
        for made, make in _MADE.items():
            large = output.numel() > _MOST_ELEMENTS
            if made and (large or not output.is_floating_point()):
                continue
            for cut, change in _CUTS.items():
                if large and cut != "all":
                    break
                try:
                    part = change(output)
                except (IndexError, RuntimeError):
                    continue
                if part.numel() == given.numel() and _same(make(part), given):
                    return Link(path, cut, made)
    return None


def follow(link: Link, output: Any, shape: Sequence[int]) -> torch.Tensor:
    """The loss's input, from an output of a model.

    Args:
        shape: Of the loss's input as it was; its first dimension may differ.
    Raises:
        LookupError: the output has no such part.
    """
    found = next((tensor for path, tensor in tensors_in(output) if path == link.path), None)
    if found is None:
        raise LookupError("the output has another form than it had")
    part = _MADE[link.made](_CUTS[link.cut](found))
    return part.reshape(-1, *shape[1:]) if shape else part.reshape(())


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers in the same order, by an even sample."""
    one, other = one.reshape(-1), other.reshape(-1)
    stride = max(1, one.numel() // _COMPARED)
    return bool(torch.allclose(one[::stride].float(), other[::stride].float(), rtol=1e-4, atol=1e-6))
