"""The learning rate is so low that the weights hardly move.

Why it matters: the loss creeps, and more time only creeps on: what one step at a useful rate does takes
    hundreds.
How it decides: at the end of a training of at least `rows` recorded steps, by one of three. The updates made
    the weights move by at most `step` of their norm in a step and `moved` in all, and the median loss of the
    last fifth is at most `drop` below that of the first. Or they moved by at most `slow` in a step and `way`
    in all, the loss fell by no more than `slow_drop`, and the gradient was left as it was: what gradients of
    steps in a row share is at least `left` of what it was in the first third, and they still agree
    (`agreement`), so that longer steps in their direction would have gained more. Or, with several optimizers
    in turn, whose losses tell little, one of the networks began with random weights and moved by at most
    `still` in all. What never moved at all is told by T103.
When it is wrong: weights that need not move, since they were loaded or trained before: a training behind a
    loaded checkpoint without new layers, or a classification that was good from the start, is left out; so
    is the second way while the learning rate still rises. Told as a note for a model that acts meanwhile,
    as in reinforcement learning.
What to do: raise the learning rate by factors of 10 until the update is about a thousandth of the weights.
Source: the usual 1e-3 of update over weight is folklore (Karpathy, CS231n notes); McCandlish et al. 2018,
    arXiv:1812.06162, for the signal in gradients; the numbers are ours, see `docs/explanation/thresholds.md`.
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
    Track,
    Training,
    Window,
    alternating,
    comparable_loss,
    detector,
    event,
    fires,
    good_from_start,
    silent,
    stepping,
    supervised,
    threshold,
)
from unbug.detect.creeping import Walk, fresh_weights, unused_gradient, walk, walks_by_part


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(30, unit="recorded steps", low=10, high=10**6, why="fewer do not show a trend")
    step: float = threshold(1e-4, unit="of the weights' norm", low=1e-9, high=0.1, why="useful: about 1e-3")
    moved: float = threshold(
        0.05, unit="of the weights' norm", low=1e-6, high=1.0, why="healthy: 0.4 and more"
    )
    drop: float = threshold(0.15, unit="fraction", low=0.0, high=0.9, why="healthy: 49 % and more")
    slow: float = threshold(
        1e-3, unit="of the weights' norm", low=1e-9, high=0.1, why="healthy: 1.5e-3 and more"
    )
    way: float = threshold(0.2, unit="of the weights' norm", low=1e-6, high=1.0, why="healthy: 0.4 and more")
    slow_drop: float = threshold(0.35, unit="fraction", low=0.0, high=0.9, why="healthy: 40 % and more")
    left: float = threshold(
        0.4, unit="of the first signal", low=0.0, high=1.0, why="healthy: mostly below 0.2"
    )
    agreement: float = threshold(0.2, unit="cosine", low=0.0, high=1.0, why="a plateau's is noise around 0")
    still: float = threshold(
        0.01, unit="of the weights' norm", low=1e-9, high=1.0, why="a GAN's move by 1 and more"
    )
    good: float = threshold(0.35, unit="of ln(classes)", low=0.0, high=1.0, why="far better than guessing")


@detector(
    "O105",
    "learning-rate-too-low",
    chinese="学习率过低",
    diagnoses=("lr-too-low",),
    reads=(
        "update.ratio",
        "weight.l2",
        "loss.value",
        "step.micro_steps",
        "optimizer.lr",
        "grad.signal",
        "grad.cosine",
    ),
    events=("loop_order", "loss_call", "mode", "checkpoint", "optimizer", "layers"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss = comparable_loss(window)
    if loss is None or len(loss) < at.rows:
        return
    if alternating(window):
        for one in walks_by_part(window):
            if (
                one.fresh
                and 0 < one.way <= at.still
                and one.step <= at.step * (1 + 1e-9)
                and len(one.ratio) >= at.rows
            ):
                yield _finding(window, at, one, loss, None)
        return
    all_weights = walk(window)
    values = loss.values[np.isfinite(loss.values)]
    if all_weights is None or len(values) < at.rows or values.min() <= 0 or not all_weights.way > 0:
        return
    fifth = len(values) // 5
    start, end = float(np.median(values[:fifth])), float(np.median(values[-fifth:]))
    if not _creeps(window, at, all_weights, 1 - end / start):
        return
    if good_from_start(window, start, at.good) or (_was_loaded(window) and not fresh_weights(window)):
        return
    yield _finding(window, at, all_weights, loss, (start, end))


def _creeps(window: Window, at: Thresholds, one: Walk, drop: float) -> bool:
    if one.way <= at.moved and one.step <= at.step * (1 + 1e-9):
        return drop <= at.drop + 1e-9
    if one.way > at.way or one.step > at.slow * (1 + 1e-9) or drop > at.slow_drop or _warms_up(window):
        return False
    unused = unused_gradient(window)
    return unused is not None and unused[0] >= at.left and unused[1] >= at.agreement


def _warms_up(window: Window) -> bool:
    """Whether the learning rate was far below its peak for a large part of the training."""
    rate = window.one("optimizer.lr")
    return rate is not None and bool(np.mean(rate.values < 0.5 * rate.values.max()) > 1 / 3)


def _finding(
    window: Window, at: Thresholds, one: Walk, loss: Track, change: tuple[float, float] | None
) -> Finding:
    setup, rate = stepping(window), window.one("optimizer.lr")
    which = (
        Bilingual(f"the weights of {one.part}", f"{one.part} 的权重")
        if one.part
        else Bilingual("the weights", "权重")
    )
    told = Bilingual(
        f"all updates together moved {which} by {one.way:.2g} of their norm, about {one.step:.1g} a step",
        f"所有更新合计只让{which.zh}移动了其范数的 {one.way:.2g}，每步约 {one.step:.1g}",
    )
    if change is not None:
        told += Bilingual(
            f", and the loss only went from {change[0]:.4g} to {change[1]:.4g}",
            f"，损失只从 {change[0]:.4g} 变为 {change[1]:.4g}",
        )
    if rate is not None and not one.part:
        told += _given(float(rate.values.max()))
    acts = change is not None and not supervised(window) and _acts(window)
    return Finding(
        place="optimizer",
        message=told,
        advice=Bilingual("raise the learning rate, by factors of 10", "以 10 倍为步长提高学习率"),
        severity=Severity.NOTE if acts else None,
        source=setup.source if setup is not None and not one.part else None,
        evidence=(
            one.ratio.evidence(
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


def _acts(window: Window) -> bool:
    """Whether the trained model also runs without gradients, in training mode, from the start."""
    return any(
        not one.fields.get("grad") and one.fields.get("training") and one.step <= 1
        for one in window.events("mode")
    )


def _was_loaded(window: Window) -> bool:
    """Whether the model began with weights from a file."""
    return any(
        one.fields.get("action") == "loaded" and one.fields.get("what") == "model"
        for one in window.events("checkpoint")
        if one.step <= 0
    )


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
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


def _slow(left: float, agreement: float, **more: Any) -> dict[str, Any]:
    return {
        **_window(1e-3, 0.7),
        "grad__signal": {"optimizer": [1.0] * 20 + [left] * 20},
        "grad__cosine": {"optimizer": [agreement] * 40},
        **more,
    }


def _two(ratio: float, deviation: float = 0.0722) -> dict[str, Any]:
    weights = [
        {"place": f"{net}.0.weight", "layer": f"{net}.0", "class": "Linear", "elements": 2048, "fan_in": 64,
         "std": deviation, "mean": 0.0, "absmax": 0.1249, "trained": True}
        for net in "GD"
    ]  # fmt: skip
    return {
        "places": tuple(
            Place(path=f"{net}.0.weight", kind="parameter", shape=(32, 64), order=order)
            for order, net in enumerate("GD")
        ),
        "events": (event("layers", weights=weights), event("loop_order", order="ZFBSZFBs")),
        "training": Training(number=0, steps=40, optimizers=("Adam", "Adam")),
        "weight__l2": {"G.0.weight": [1.0] * 40, "D.0.weight": [1.0] * 40},
        "update__ratio": {"G.0.weight": [ratio] * 40, "D.0.weight": [0.01] * 40},
        "loss__value": {"loss": [1.0, 3.0] * 20},
    }


CASES = (
    fires("exactly at the thresholds", place="optimizer", **_window(1e-4, 0.85)),
    fires(
        "no loss function, as where it is written by hand",
        severity=Severity.WARNING,
        **(_window(1e-4, 1.0) | {"events": (event("loop_order", order="ZFBS"),)}),
    ),
    fires(
        "an agent",
        severity=Severity.NOTE,
        **(_window(1e-4, 1.0) | {"events": (event("mode", training=True, grad=False),)}),
    ),
    fires("creeps, and the gradient stays as it is", place="optimizer", **_slow(0.4, 0.2)),
    fires("one network of two", place="optimizer", **_two(1e-4)),
    silent("two networks that move", **_two(3e-4)),
    silent("two networks that were trained before", **_two(1e-4, deviation=0.2)),
    silent("the gradient was used up", **_slow(0.39, 0.2)),
    silent("a plateau of noise", **_slow(1.0, 0.19)),
    silent(
        "a warm-up",
        **_slow(1.0, 0.9, optimizer__lr={"optimizer group 0": [0.1] * 20 + [1.0] * 20}),
    ),
    silent("updates of a useful length", **_window(1.1e-4, 1.0)),
    silent("the loss falls", **_window(1e-4, 0.84)),
    silent("too short", **_window(1e-4, 1.0, rows=29)),
    silent("nothing moved at all", **_window(0.0, 1.0)),
    silent("weights from a file", **_window(1e-4, 1.0, event("checkpoint", action="loaded", what="model"))),
    silent(
        "good from the start",
        **_window(1e-4, 1.0, event("loss_call", function="cross_entropy", file="t.py", line=8, classes=100)),
    ),
)
