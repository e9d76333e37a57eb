"""Whether two checkpoints hold the same: `real_equal.py ONE TWO` ends with 0, or says what differs.

A process of its own: to load a checkpoint is to run what it names, and the program wrote it.
"""

from __future__ import annotations

import sys
from typing import Any

import torch


def difference(one: Any, two: Any, where: str = "") -> str:
    """Where two loaded objects differ; empty if they do not."""
    if type(one) is not type(two):
        return f"{where}: {type(two).__name__}, bare {type(one).__name__}"
    if isinstance(one, torch.Tensor):
        return "" if torch.equal(one, two) else f"{where}: tensors differ"
    if isinstance(one, torch.nn.Module):
        return difference(one.state_dict(), two.state_dict(), where)
    if isinstance(one, dict):
        if list(one) != list(two):
            return f"{where}: other keys"
        return next(filter(None, (difference(one[key], two[key], f"{where}.{key}") for key in one)), "")
    if isinstance(one, (list, tuple)):
        pairs = enumerate(zip(one, two, strict=True)) if len(one) == len(two) else ()
        told = next(filter(None, (difference(a, b, f"{where}[{i}]") for i, (a, b) in pairs)), "")
        return told or ("" if len(one) == len(two) else f"{where}: other length")
    return "" if one == two else f"{where}: {two!r}, bare {one!r}"


if __name__ == "__main__":
    first, second = (torch.load(path, map_location="cpu", weights_only=False) for path in sys.argv[1:3])
    told = difference(first, second)
    print(told)
    sys.exit(1 if told else 0)
