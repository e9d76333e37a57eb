"""Optimizer steps are made, but no weight changes.

Why it matters: nothing is learned, while the program looks busy.
How it decides: at each of `patience` recorded steps with a learning rate above zero, from the first step
    on, the update of every recorded parameter is exactly zero. What the gradients were tells the reasons
    apart: none or zero, the graph or `zero_grad` is to blame; else the update was lost to rounding.
When it is wrong: steps that GradScaler skips are left out; a program that only steps to move a scheduler.
What to do: look at the order of `zero_grad`, `backward` and `step`, and whether the loss depends on the
    weights.
Source: TrainCheck (arXiv:2506.14813), "gradients cleared before step"; the patience is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    fires,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(
        10, unit="recorded steps", low=2, high=10_000, why="a warm-up may start at zero"
    )


@detector(
    "T103",
    "weights-never-change",
    chinese="权重从不变化",
    diagnoses=("missing-optimizer-step", "zero-grad-misplaced", "detached-graph"),
    reads=("update.absmax", "grad.l2", "optimizer.lr", "step.skipped"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    updates = window.read("update.absmax")
    if not updates:
        return
    steps = np.unique(np.concatenate([track.steps for track in updates]))
    steps = steps[~np.isin(steps, _idle(window))][: at.patience]
    if len(steps) < at.patience:
        return
    if any((track.values[np.isin(track.steps, steps)] != 0).any() for track in updates):
        return
    since, known_at = int(steps[0]), int(steps[-1])
    gradient = [t.values[np.isin(t.steps, steps)] for t in window.read("grad.l2")]
    has_gradient = any((values > 0).any() for values in gradient)
    longest = max(updates, key=len)
    part = slice(*np.searchsorted(longest.steps, [since, known_at + 1]).tolist())
    why = (
        Bilingual(", though there are gradients", "，尽管存在梯度")
        if has_gradient
        else Bilingual(", and no gradient is above zero", "，且没有任何大于零的梯度")
    )
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"no weight changed in {at.patience} recorded steps",
            f"在 {at.patience} 个记录步中没有任何权重改变",
        )
        + why,
        advice=Bilingual(
            "raise the learning rate, or keep weights in float32", "提高学习率，或让权重保持 float32"
        )
        if has_gradient
        else Bilingual(
            "check that zero_grad does not come before step, and that the loss depends on the weights",
            "检查 zero_grad 是否在 step 之前被调用，以及损失是否依赖于这些权重",
        ),
        diagnoses=("low-precision", "lr-too-low") if has_gradient else None,
        steps=(since, known_at),
        known_at=known_at,
        evidence=(
            longest.evidence(
                part, label=Bilingual(f"largest change of {longest.place}", f"{longest.place} 的最大变化")
            ),
        ),
    )


def _idle(window: Window) -> np.ndarray:
    """Steps that were meant to change nothing: skipped ones, and those with a learning rate of zero."""
    skipped = [track.steps[track.values >= 1] for track in window.read("step.skipped")]
    zero = [track.steps[track.values == 0] for track in window.read("optimizer.lr")]
    return np.concatenate([*skipped, *zero, np.zeros(0, np.int64)])


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
CASES = (
    fires(
        "exactly the patience, no gradient",
        place="optimizer",
        places=_FC,
        update__absmax={"fc.weight": [0.0] * 10},
    ),
    fires(
        "gradients, but no change",
        places=_FC,
        diagnoses=("low-precision", "lr-too-low"),
        update__absmax={"fc.weight": [0.0] * 10},
        grad__l2={"fc.weight": [1.0] * 10},
    ),
    silent("one step short", places=_FC, update__absmax={"fc.weight": [0.0] * 9}),
    silent(
        "one weight moves",
        places=_FC,
        update__absmax={"fc.weight": [0.0] * 20, "fc.bias": [0.0] * 9 + [1e-9] * 11},
    ),
    silent(
        "learning rate still zero",
        places=_FC,
        update__absmax={"fc.weight": [0.0] * 10 + [0.1] * 9},
        optimizer__lr={"optimizer group 0": [0.0] * 10 + [0.1] * 9},
    ),
    silent(
        "GradScaler looks for its scale",
        places=_FC,
        update__absmax={"fc.weight": [0.0] * 10 + [0.1] * 9},
        step__skipped={"loop": [1.0] * 10 + [0.0] * 9},
    ),
)
