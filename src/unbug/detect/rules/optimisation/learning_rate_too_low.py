"""The learning rate is so low that the weights hardly move.

Why it matters: the loss creeps, and more time only creeps on: what one step at a useful rate does takes
    hundreds.
How it decides: at the end of a training of at least `rows` recorded steps, the updates made the weights
    move by at most `step` of their norm in a step and `moved` in all, and the median loss of the last fifth
    is at most `drop` below that of the start. What never moved at all is told by T103.
When it is wrong: weights that need not move, since they were loaded or trained before: a training behind a
    loaded checkpoint, or a classification that was good from the start, is left out. Told as a note where
    no loss function of PyTorch is trained on, as in reinforcement learning.
What to do: raise the learning rate by factors of 10 until the update is about a thousandth of the weights.
Source: the usual 1e-3 of update over weight is folklore (Karpathy, CS231n notes); the numbers are ours, see
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
    Place,
    Severity,
    Window,
    alternating,
    comparable_loss,
    crawls,
    detector,
    event,
    fires,
    good_from_start,
    moved,
    silent,
    stepping,
    supervised,
    threshold,
    total_ratio,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(30, unit="recorded steps", low=10, high=10**6, why="fewer do not show a trend")
    step: float = threshold(1e-4, unit="of the weights' norm", low=1e-9, high=0.1, why="useful: about 1e-3")
    moved: float = threshold(0.05, unit="of the weights' norm", low=1e-6, high=1.0, why="healthy: about 1")
    drop: float = threshold(0.1, unit="fraction", low=0.0, high=0.9, why="healthy: 49 % and more")
    good: float = threshold(0.35, unit="of ln(classes)", low=0.0, high=1.0, why="far better than guessing")


@detector(
    "O105",
    "learning-rate-too-low",
    chinese="学习率过低",
    diagnoses=("lr-too-low",),
    reads=("update.ratio", "weight.l2", "loss.value", "step.micro_steps", "optimizer.lr"),
    events=("loop_order", "loss_call", "mode", "checkpoint", "optimizer"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss, ratio = comparable_loss(window), total_ratio(window, "update.ratio", relative=True)
    if loss is None or ratio is None or len(loss) < at.rows or alternating(window):
        return
    way = moved(window)
    if way is None or not crawls(window, at.step, at.moved):
        return
    values = loss.values[np.isfinite(loss.values)]
    if len(values) < at.rows or values.min() <= 0:
        return
    start, end = float(np.median(values[:5])), float(np.median(values[-len(values) // 5 :]))
    if end < (1 - at.drop) * start or good_from_start(window, start, at.good) or _was_loaded(window):
        return
    setup, rate = stepping(window), window.one("optimizer.lr")
    given = Bilingual() if rate is None else _given(float(rate.values.max()))
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"all updates together moved the weights by {way:.2g} of their norm, about "
            f"{way / max(window.steps, 1):.1g} a step (limit {at.step:g}), and the loss only went from "
            f"{start:.4g} to {end:.4g}",
            f"所有更新合计只让权重移动了其范数的 {way:.2g}，每步约 {way / max(window.steps, 1):.1g}"
            f"（阈值 {at.step:g}），损失只从 {start:.4g} 变为 {end:.4g}",
        )
        + given,
        advice=Bilingual("raise the learning rate, by a factor of 100 or more", "把学习率提高 100 倍或更多"),
        severity=None if supervised(window) else Severity.NOTE,
        source=setup.source if setup is not None else None,
        evidence=(
            ratio.evidence(
                threshold=at.step,
                above=False,
                mark=(),
                label=Bilingual("update norm over weight norm", "更新范数与权重范数之比"),
            ),
            loss.evidence(mark=(), label=Bilingual("training loss", "训练损失")),
        ),
    )


def _given(rate: float) -> Bilingual:
    return Bilingual(f", at a learning rate of {rate:.3g}", f"，学习率为 {rate:.3g}")


def _was_loaded(window: Window) -> bool:
    """Whether the model began with weights from a file."""
    return any(
        one.fields.get("action") == "loaded" and one.fields.get("what") == "model"
        for one in window.events("checkpoint")
        if one.step <= 0
    )


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
_ONE = {"fc.weight": [1.0] * 40}
_EVENTS = (
    event("loss_call", function="mse_loss", file="t.py", line=9, calls=1),
    event("loop_order", order="ZFBS"),
)


def _window(ratio: float, end: float, *more: Event, rows: int = 40) -> dict[str, Any]:
    return {
        "places": _FC,
        "events": (*_EVENTS, *more),
        "weight__l2": {"fc.weight": [1.0] * rows},
        "update__ratio": {"fc.weight": [ratio] * rows},
        "loss__value": {"loss": [1.0] * (rows - rows // 4) + [end] * (rows // 4)},
    }


CASES = (
    fires("exactly at the thresholds", place="optimizer", **_window(1e-4, 0.9)),
    fires(
        "no loss function",
        severity=Severity.NOTE,
        **(_window(1e-4, 1.0) | {"events": (event("loop_order", order="ZFBS"),)}),
    ),
    silent("updates of a useful length", **_window(1.1e-4, 1.0)),
    silent("the loss falls", **_window(1e-4, 0.89)),
    silent("too short", **_window(1e-4, 1.0, rows=29)),
    silent("nothing moved at all", **_window(0.0, 1.0)),
    silent("weights from a file", **_window(1e-4, 1.0, event("checkpoint", action="loaded", what="model"))),
    silent(
        "good from the start",
        **_window(1e-4, 1.0, event("loss_call", function="cross_entropy", file="t.py", line=8, classes=100)),
    ),
)
