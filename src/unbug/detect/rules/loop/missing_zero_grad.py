"""Gradients of earlier steps are never cleared and pile up.

Why it matters: every step follows the sum of all gradients so far. It acts like a momentum near 1: the loss
    oscillates or diverges, and where it does not, the learning rate means something else than it says.
How it decides: `loop.stale_gradient` is 1 (a gradient that an earlier step had used was added to) on
    `patience` consecutive recorded steps. What is cleared between that and the step that would use it does
    not count: a generator's loss rightly leaves gradients in the discriminator that its own next
    `zero_grad` clears. Where some optimizer is cleared and another is not, the message says so.
When it is wrong: a program that scales old gradients down by hand instead of clearing them.
What to do: call `optimizer.zero_grad()` once each step, before `backward`.
Source: PyTorch documentation of `torch.optim.Optimizer.zero_grad` for the mechanism; the patience is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Training,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(
        3, unit="recorded steps", low=1, high=1000, why="a forgotten call is forgotten each time"
    )


@detector(
    "T101",
    "missing-zero-grad",
    chinese="缺少 zero_grad",
    diagnoses=("missing-zero-grad",),
    reads=("loop.stale_gradient",),
    events=("loop_order",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.97,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    track = window.one("loop.stale_gradient")
    streak = None if track is None else first_streak(track.values >= 1, at.patience)
    if track is None or streak is None:
        return
    orders = [str(e.fields.get("order", "")) for e in window.events("loop_order")]
    clears = any("Z" in order for order in orders)
    several = clears and len(window.training.optimizers) > 1
    never = (
        Bilingual("; of several optimizers one is never cleared", "；多个优化器中有一个从未清零")
        if several
        else Bilingual("; zero_grad was not called", "；zero_grad 从未被调用")
        if orders and not clears
        else Bilingual()
    )
    yield Finding(
        place="loop",
        message=Bilingual(
            f"backward added to gradients that a step had used, {at.patience} steps in a row",
            f"backward 累加到了上一步已用过的梯度上，连续 {at.patience} 步",
        )
        + never,
        advice=Bilingual(
            "call optimizer.zero_grad() before backward in each step",
            "每一步在 backward 之前调用 optimizer.zero_grad()",
        ),
        confidence=0.93 if several else None,
        evidence=(
            track.evidence(
                streak, threshold=1.0, label=Bilingual("old gradients added to", "累加到旧梯度上")
            ),
        ),
    )


_GAN = Training(number=0, steps=9, optimizers=("Adam", "Adam"))
CASES = (
    fires("exactly the patience", place="loop", loop__stale_gradient={"loop": [0.0, 1.0, 1.0, 1.0]}),
    fires(
        "several optimizers, none ever cleared",
        training=_GAN,
        events=(event("loop_order", order="FBSFBS"),),
        loop__stale_gradient={"loop": [0.0, 1.0, 1.0, 1.0]},
    ),
    silent("one step short", loop__stale_gradient={"loop": [0.0, 1.0, 1.0]}),
    silent("a clean step between", loop__stale_gradient={"loop": [1.0, 1.0, 0.0, 1.0, 1.0]}),
    silent("a missing value between", loop__stale_gradient={"loop": [1.0, 1.0, float("nan"), 1.0, 1.0]}),
    fires(
        "one of two is never cleared",
        training=_GAN,
        events=(event("loop_order", order="FZFBsFBS"),),
        loop__stale_gradient={"loop": [0.0] + [1.0] * 8},
    ),
    silent(
        "a GAN whose zero_grad comes later",
        training=_GAN,
        events=(event("loop_order", order="FZBSZBS"),),
        loop__stale_gradient={"loop": [0.0] * 9},
    ),
)
