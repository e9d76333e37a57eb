"""Gradients of two steps in a row, on a fixed sample of elements: noise, agreement and curvature.

Both gradients are those of batches drawn anew at nearly the same weights. What they share is signal, what
they differ by is noise; and what the second differs by along the step between them is curvature, raised by
the noise of the first, which that step followed.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", arXiv:1812.06162, appendix A,
    with two batches of one size in place of a small and a large one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch

from unbug.record.refs import TensorRef, ref
from unbug.record.tensors import local, reason_unseen

__all__ = ["SAMPLED_ELEMENTS", "SERIES", "GradientPairs", "Sample", "owned_tensors"]

SAMPLED_ELEMENTS, _MOST_PARAMETERS, _LEAST = 2048, 32, 8
_DECAY = 0.9
SERIES = (
    "grad.cosine", "grad.signal", "grad.noise", "grad.noise_scale", "update.alignment", "curvature.secant",
)  # fmt: skip


class Sample:
    """Elements of parameters, chosen once by a generator of our own: large parameters are likelier."""

    def __init__(self, parameters: Iterable[torch.Tensor]) -> None:
        usable = [one for one in parameters if one.is_floating_point() and not reason_unseen(local(one))]
        sizes = np.array([local(one).numel() for one in usable], dtype=np.float64)
        draw = np.random.default_rng(2018)
        chosen = np.arange(len(usable))[sizes > 0]
        if len(chosen) > _MOST_PARAMETERS:
            share = sizes[chosen] / sizes[chosen].sum()
            chosen = np.sort(draw.choice(chosen, _MOST_PARAMETERS, replace=False, p=share))
        total = sizes[chosen].sum()
        self.elements, self.of = 0, int(sizes.sum())
        self._parts: list[tuple[TensorRef, torch.Tensor, int]] = []
        for number in chosen.tolist():
            size = int(sizes[number])
            count = min(size, max(_LEAST, round(SAMPLED_ELEMENTS * size / total)))
            index = (
                np.sort(draw.choice(size, count, replace=False))
                if size < 1 << 20
                else _spread(draw, size, count)
            )
            self._parts.append((ref(usable[number]), torch.from_numpy(index), int(index[-1])))
            self.elements += count

    def take(self, pick: Callable[[torch.Tensor], torch.Tensor | None]) -> torch.Tensor | None:
        """The sampled elements of what `pick` gives for each parameter; None where one is missing."""
        parts = []
        with torch.no_grad():
            for number, (reference, index, last) in enumerate(self._parts):
                tensor = reference()
                picked = pick(tensor) if tensor is not None else None
                if picked is None:
                    return None
                picked = local(picked).detach()
                if reason_unseen(picked) or last >= picked.numel():
                    return None
                if index.device != picked.device:
                    index = index.to(picked.device, non_blocking=True)
                    self._parts[number] = (reference, index, last)
                parts.append(torch.take(picked, index).float())
            if len({part.device for part in parts}) != 1:
                return None
            return torch.cat(parts)


class GradientPairs:
    """One training's."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._held: tuple[int, torch.Tensor, torch.Tensor] | None = None
        self._made: tuple[int, torch.Tensor, torch.Tensor] | None = None
        self._signal = self._noise = self._weight = 0.0

    def awaits(self, step: int) -> bool:
        """Whether the step before was looked at, so that this one's gradient makes a pair."""
        return self._made is not None and self._made[0] == step - 1

    def begins(self, step: int, gradient: torch.Tensor | None, weight: torch.Tensor | None) -> None:
        """A step that is looked at is about to be made."""
        self._held = None if gradient is None or weight is None else (step, gradient, weight)

    def made(self, weight: torch.Tensor | None) -> None:
        """It was made."""
        held, self._held = self._held, None
        self._made = None if held is None or weight is None else (held[0], held[1], weight - held[2])

    @property
    def holds(self) -> bool:
        """Whether the step in progress is looked at."""
        return self._held is not None

    def products(self, gradient: torch.Tensor | None) -> torch.Tensor | None:
        """`(9,)` inner products of the gradient before, this one and the step between, which are let go."""
        made, self._made = self._made, None
        if made is None or gradient is None or made[1].device != gradient.device:
            return None
        with torch.no_grad(), torch.autocast(gradient.device.type, enabled=False):
            rows = torch.stack([made[1], gradient, made[2]]).double()
            return (rows.unsqueeze(1) * rows.unsqueeze(0)).sum(-1).reshape(-1)

    def values(self, products: list[float], batch: int) -> list[float]:
        """The row of `SERIES`; NaN where a number is undefined.

        Args:
            batch: Examples in one gradient; 0 if unknown.
        """
        first, shared, along_first, _, second, along_second, _, _, moved = products
        scale = self.sample.of / self.sample.elements
        signal, noise = shared * scale, max((first + second) / 2 - shared, 0.0) * scale
        if math.isfinite(signal + noise):
            self._signal = _DECAY * self._signal + (1 - _DECAY) * signal
            self._noise = _DECAY * self._noise + (1 - _DECAY) * noise
        smooth = batch * self._noise / self._signal if batch and self._signal > 0 else math.nan
        return [
            _cosine(shared, first, second),
            signal,
            noise,
            smooth,
            -_cosine(along_first, first, moved),
            (along_second - along_first) / moved if moved > 0 else math.nan,
        ]


def _cosine(product: float, first: float, second: float) -> float:
    length = math.sqrt(first) * math.sqrt(second) if first >= 0 and second >= 0 else math.nan
    return product / length if length > 0 else math.nan


def _spread(draw: np.random.Generator, size: int, count: int) -> np.ndarray:
    """One element at random from each of as many stretches: no permutation of a huge parameter is made."""
    edges = np.arange(count, dtype=np.int64) * size // count
    return edges + draw.integers(0, size // count, count)


def owned_tensors(table: Mapping[int, TensorRef]) -> list[torch.Tensor]:
    """Those of a table that are alive."""
    return [tensor for reference in table.values() if (tensor := reference()) is not None]
