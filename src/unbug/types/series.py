"""A statistic at a place, over steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from unbug.types.place import Place

__all__ = ["DERIVED_STATISTICS", "STORED_STATISTICS", "Histogram", "Origin", "Series"]

Origin = Literal[
    "auto", "user", "tensorboard", "wandb", "mlflow", "trackio", "lightning", "transformers", "accelerate",
    "skorch", "ignite",
]  # fmt: skip

STORED_STATISTICS = ("count", "mean", "m2", "min", "max", "zeros", "nans", "infs", "saturated")
"""What is written for a tensor. These merge exactly over chunks, ranks and steps.

`count` is all elements looked at; mean, m2 (sum of squared deviations), min and max are over the finite ones
(so their number is count - nans - infs); `saturated` is NaN where the notion does not apply."""

DERIVED_STATISTICS = (
    "std", "l2", "absmax", "zero_share", "nan_share", "inf_share", "nonfinite_share", "saturated_share",
)  # fmt: skip
"""What readers compute from the stored ones; `Window.read("weight.l2")` works for both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Identity of a series of numbers.

    Args:
        name: For automatic ones `<quantity>.<statistic>`, e.g. `weight.mean`, `activation.zeros`,
            `loss.value` (docs/reference/series.md); for the user's own whatever she wrote. The origin keeps
            them apart.
        statistic: Tells apart several series of one name at one place, e.g. `group 0`; mostly empty.
        unit: `s`, `fraction`, `bytes`, … or empty.
        sampled: How it was sampled, in words a user may read; empty means every step.
    """

    name: str
    place: Place
    statistic: str = ""
    unit: str = ""
    origin: Origin = "auto"
    sampled: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """Counts of binary exponents of a tensor's elements at one step.

    Args:
        first: Exponent of the first bin: elements with 2**first <= |x| < 2**(first + 1).
        counts: One count a bin, consecutive exponents.
        zeros, nonfinite: Elements that have no exponent.
        looked_at: Elements counted; smaller than the tensor if it was sampled.
    """

    training: int
    step: int
    first: int
    counts: tuple[int, ...] = field(default=())
    zeros: int = 0
    nonfinite: int = 0
    looked_at: int = 0
