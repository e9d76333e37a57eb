"""The optimizer remembers so many steps that it overshoots.

Why it matters: with a momentum of m a step is the sum of about 1 / (1 - m) gradients. What was right that
    many steps ago is still followed: the loss falls, swings back and falls again, or diverges.
How it decides: the momentum (first beta) is at least `momentum`, and the median loss of `block` steps rose
    to at least `rise` times the lowest such median before, by at least `amount` of the loss at the start;
    from `extreme` on, where no usual setting lies, half of that amount is enough. A loss that is not finite
    counts as a rise.
When it is wrong: a loss whose meaning changes on the way (curriculum, annealed terms). Silent with several
    optimizers in turn, and for losses of both signs.
What to do: lower the momentum to 0.9, or the learning rate by the same factor that the memory grew.
Source: Goh 2017, "Why Momentum Really Works", Distill; the numbers are ours, see
    `docs/explanation/thresholds.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Track,
    Window,
    alternating,
    detector,
    even_loss,
    event,
    fires,
    setups,
    silent,
    stepping,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    momentum: float = threshold(0.98, unit="fraction", low=0.5, high=1.0, why="usual settings end at 0.95")
    extreme: float = threshold(0.995, unit="fraction", low=0.5, high=1.0, why="a memory of 200 steps")
    rise: float = threshold(
        1.5, unit="times the lowest", low=1.0, high=100.0, why="healthy: 1.4 near the start"
    )
    amount: float = threshold(0.1, unit="of the first loss", low=0.0, high=10.0, why="healthy: below 0.07")
    block: int = threshold(10, unit="recorded steps", low=3, high=1000, why="outlasts single odd batches")


@detector(
    "O103",
    "momentum-too-high",
    chinese="动量过高",
    diagnoses=("momentum-too-high", "lr-too-high"),
    reads=("loss.value", "step.micro_steps"),
    events=("optimizer", "loop_order"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    setup, loss = stepping(window), even_loss(window)
    if setup is None or loss is None or not at.momentum <= setup.momentum < 1 or len(setups(window)) > 1:
        return
    if alternating(window) or len(loss) < 2 * at.block:
        return
    found = _swing(loss, at, at.amount / 2 if setup.momentum >= at.extreme else at.amount)
    if found is None:
        return
    first, last, low, high = found
    memory = 1 / (1 - setup.momentum)
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"with a momentum of {setup.momentum:g} each step follows the last {memory:.0f} gradients, "
            f"and the "
            f"loss swung back from {low:.4g} to {high:.4g} by step {last}",
            f"动量为 {setup.momentum:g}，每一步都跟随最近约 {memory:.0f} 个梯度；"
            f"损失从 {low:.4g} 又回升到 {high:.4g}（到第 {last} 步）",
        ),
        advice=Bilingual(
            "lower the momentum to 0.9, or the learning rate by a factor of 10",
            "把动量降到 0.9，或把学习率除以 10",
        ),
        steps=(first, last),
        known_at=last,
        source=setup.source,
        evidence=(loss.before(last + 1).evidence(threshold=at.rise * low, label=Bilingual("loss", "损失")),),
    )


def _swing(loss: Track, at: Thresholds, amount: float) -> tuple[int, int, float, float] | None:
    """Steps of the first block that lies too high, the lowest median before it, and its own."""
    if not np.isfinite(loss.values[:3]).all() or (loss.values < 0).any():
        return None
    start, lowest = float(np.median(loss.values[:3])), np.inf
    for first in range(0, len(loss) - at.block + 1, at.block):
        values = loss.values[first : first + at.block]
        middle = float(np.median(np.where(np.isfinite(values), values, np.inf)))
        if lowest > 0 and middle >= at.rise * lowest and middle - lowest >= amount * start:
            return int(loss.steps[first]), int(loss.steps[first + at.block - 1]), lowest, middle
        lowest = min(lowest, middle)
    return None


def _sgd(momentum: float, **options: Any) -> Event:
    group = {"lr": 0.01, "momentum": momentum, "elements": 9, **options}
    return event(
        "optimizer",
        **dict[str, Any]({"class": "torch.optim.sgd.SGD", "groups": [group], "file": "t.py", "line": 9}),
    )


_SWINGS = {"loss": [2.0] * 10 + [0.5] * 10 + [0.75] * 10}
CASES = (
    fires("exactly at the thresholds", place="optimizer", events=(_sgd(0.98),), loss__value=_SWINGS),
    fires("a first beta", events=(_sgd(0.0, betas=[0.999, 0.999]),), loss__value=_SWINGS),
    fires(
        "half as much, with a memory that nobody uses",
        events=(_sgd(0.999),),
        loss__value={"loss": [2.0] * 10 + [0.25] * 10 + [0.375] * 10},
    ),
    fires("diverges", events=(_sgd(0.99),), loss__value={"loss": [2.0] * 15 + [float("inf")] * 15}),
    silent("a usual momentum", events=(_sgd(0.95),), loss__value=_SWINGS),
    silent(
        "a small swing", events=(_sgd(0.98),), loss__value={"loss": [2.0] * 10 + [0.2] * 10 + [0.35] * 10}
    ),
    silent("falls", events=(_sgd(0.99),), loss__value={"loss": [2.0] * 10 + [1.0] * 10 + [0.9] * 10}),
    silent("one block only", events=(_sgd(0.99),), loss__value={"loss": [0.4] * 10 + [0.6] * 9}),
    silent("a GAN", events=(_sgd(0.99), event("loop_order", order="ZFBSzFBs")), loss__value=_SWINGS),
    silent(
        "a policy gradient",
        events=(_sgd(0.99),),
        loss__value={"loss": [1.0] * 10 + [-0.4] * 10 + [0.6] * 10},
    ),
)
