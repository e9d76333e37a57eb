"""The learning rate still warms up when the training ends.

Why it matters: the whole training was made at a small part of the rate that was asked for.
How it decides: at the end of a training of at least `steps` steps, the learning rate is at its highest, has
    risen, and is at most `share` of the one that the optimizer or its schedule was given. Where the loss
    fell by `fall` nevertheless, it is a note.
When it is wrong: a run that is a piece of a longer one.
What to do: make the warm-up a few per cent of all steps; call `scheduler.step()` in every step if the
    schedule counts steps.
Source: PyTorch documentation of `torch.optim.lr_scheduler`; the numbers are ours.
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
    comparable_loss,
    detector,
    event,
    fires,
    schedulers,
    silent,
    stepping,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(50, unit="steps", low=2, high=10**9, why="a warm-up may be a few dozen steps long")
    share: float = threshold(
        0.2, unit="of the rate asked for", low=0.001, high=0.9, why="a useful one ends at 1"
    )
    fall: float = threshold(0.5, unit="fraction", low=0.0, high=1.0, why="then it learns nevertheless")


@detector(
    "O107",
    "warm-up-never-ends",
    chinese="预热从未结束",
    diagnoses=("lr-schedule",),
    reads=("optimizer.lr", "loss.value", "step.micro_steps"),
    events=("optimizer", "scheduler"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    rate, setup = window.one("optimizer.lr"), stepping(window)
    if rate is None or setup is None or len(rate) < 3 or window.steps < at.steps:
        return
    last = float(rate.values[-1])
    asked = setup.number("max_lr") or setup.number("initial_lr") or _unknown(rate, at)
    if (
        not 0 < last <= at.share * asked
        or last < float(rate.values.max())
        or last < (1 + 1e-6) * rate.values[0]
    ):
        return
    loss = comparable_loss(window)
    fell = False
    if loss is not None and len(loss) >= at.steps // 2:
        start, end = float(np.median(loss.values[:5])), float(np.median(loss.values[-10:]))
        fell = start > 0 and end <= (1 - at.fall) * start
    seen = schedulers(window)
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"the learning rate was still rising when the training ended, and had reached {last:.3g} at step "
            f"{int(rate.steps[-1])}",
            f"训练结束时学习率仍在上升，只达到 {last:.3g}（第 {int(rate.steps[-1])} 步）",
        ),
        advice=Bilingual(
            "make the warm-up a few per cent of all steps, and step the scheduler in every step if it counts "
            "steps",
            "让预热只占总步数的百分之几；若调度按步计数，则每一步都调用 scheduler.step()",
        ),
        severity=Severity.NOTE if fell else None,
        source=seen[-1].source if seen else setup.source,
        evidence=(
            rate.evidence(
                threshold=at.share * asked, above=False, mark=(), label=Bilingual("learning rate", "学习率")
            ),
        ),
    )


def _unknown(rate: Track, at: Thresholds) -> float:
    """What a rate that rose all the way would have to reach, where the program sets it by itself; else 0."""
    values = rate.values
    rises = (np.diff(values) >= 0).all() and values[-1] >= 1.1 * values[3 * len(values) // 4]
    return float(values[-1]) / at.share if rises and values[-1] >= 5 * max(values[0], 0.0) else 0.0


def _made(**options: Any) -> Event:
    group = {"lr": 0.0, "elements": 9, **options}
    return event("optimizer", **dict[str, Any]({"class": "torch.optim.adam.Adam", "groups": [group]}))


_RISES = {"optimizer group 0": [0.0004 * step for step in range(51)]}
CASES = (
    fires("exactly at the share", place="optimizer", events=(_made(initial_lr=0.1),), optimizer__lr=_RISES),
    fires(
        "it learns nevertheless",
        severity=Severity.NOTE,
        events=(_made(initial_lr=0.1),),
        optimizer__lr=_RISES,
        loss__value={"loss": [1.0] * 20 + [0.5] * 31},
    ),
    fires(
        "a schedule with a peak of its own",
        events=(_made(initial_lr=0.004, max_lr=0.1),),
        optimizer__lr=_RISES,
    ),
    silent("close to the rate asked for", events=(_made(initial_lr=0.09),), optimizer__lr=_RISES),
    silent(
        "it falls again",
        events=(_made(initial_lr=1.0),),
        optimizer__lr={"optimizer group 0": [0.001 * min(step, 60 - step) for step in range(60)]},
    ),
    fires("by hand", severity=Severity.WARNING, events=(_made(),), optimizer__lr=_RISES),
    silent("no schedule", events=(_made(),), optimizer__lr={"optimizer group 0": [0.1] * 60}),
    silent(
        "a short run",
        events=(_made(initial_lr=0.1),),
        optimizer__lr={"optimizer group 0": [0.0004 * step for step in range(49)]},
    ),
)
