"""The learning rate fell to almost nothing long before the end.

Why it matters: from there on nothing is learned; the rest of the training is waste.
How it decides: at the end, the learning rate of the first group was at most `share` of its peak during at
    least `rest` of all steps, or at most `share_each` where the scheduler is stepped in every step: mostly
    it counts epochs then. It is a note where no scheduler is known, or where `ReduceLROnPlateau` did it, as
    after a long plateau.
When it is wrong: schedules that end in a long constant tail on purpose.
What to do: call `scheduler.step()` once an epoch, or give the schedule its length in steps.
Source: PyTorch documentation of `torch.optim.lr_scheduler`; both numbers are ours.
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
    Window,
    detector,
    event,
    fires,
    orders,
    schedulers,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        1e-3, unit="of the peak", low=1e-9, high=0.5, why="schedules end near it, not live there"
    )
    share_each: float = threshold(
        0.011, unit="of the peak", low=1e-9, high=0.5, why="cosine: the last 7 % lie so low"
    )
    rest: float = threshold(
        0.5, unit="of all steps", low=0.05, high=1.0, why="cosine: the last 2 % lie so low"
    )


@detector(
    "O102",
    "learning-rate-collapsed",
    chinese="学习率过早衰减",
    diagnoses=("lr-schedule",),
    reads=("optimizer.lr",),
    events=("loop_order", "scheduler"),
    severity=Severity.WARNING,
    since="0.1",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    rate = window.one("optimizer.lr")
    if rate is None or len(rate) < 2:
        return
    peak = float(rate.values.max())
    each_step = any("L" in word for _, word in orders(window)[:1])
    seen = [one for one in schedulers(window) if one.class_name != "ReduceLROnPlateau"]
    share = at.share_each if each_step else at.share
    low = np.flatnonzero(rate.values > share * peak)
    after = int(low[-1]) + 1 if len(low) else 0
    if not peak > 0 or after >= len(rate):
        return
    since, end = int(rate.steps[after]), max(window.steps, int(rate.steps[-1]) + 1)
    if end - since < at.rest * end:
        return
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"the learning rate fell from {peak:.3g} to {rate.values[after]:.2g} by step {since} "
            f"of {end} and stayed so low",
            f"学习率从 {peak:.3g} 降到 {rate.values[after]:.2g}（第 {since} 步，共 {end} 步），"
            "此后一直这样低",
        )
        + (
            Bilingual("; the scheduler is stepped in every step", "；调度器在每一步都被推进")
            if each_step
            else ""
        ),
        advice=Bilingual(
            "call scheduler.step() once an epoch, or give the schedule its length in steps",
            "每个 epoch 只调用一次 scheduler.step()，或按步数设定调度长度",
        ),
        severity=None if each_step or seen else Severity.NOTE,
        source=seen[-1].source if seen else None,
        steps=(since, int(rate.steps[-1])),
        evidence=(
            rate.evidence(
                threshold=share * peak,
                above=False,
                mark=(since,),
                label=Bilingual("learning rate", "学习率"),
            ),
        ),
    )


def _scheduler(name: str) -> Event:
    return event(
        "scheduler",
        step=3,
        **dict[str, Any]({"class": name, "options": {}, "count": 3, "file": "t.py", "line": 9}),
    )


_EACH = (event("loop_order", order="ZFBSL"),)
CASES = (
    fires(
        "half of the steps at the share",
        place="optimizer",
        severity=Severity.WARNING,
        events=_EACH,
        optimizer__lr={"optimizer group 0": [1.0, 0.1, 1.1e-2, 1.1e-2]},
    ),
    fires(
        "not stepped in every step",
        severity=Severity.NOTE,
        events=(event("loop_order", order="ZFBS"),),
        optimizer__lr={"optimizer group 0": [1.0, 1e-4, 1e-4, 1e-4]},
    ),
    fires(
        "once an epoch, by a tenth each",
        severity=Severity.WARNING,
        events=(event("loop_order", order="ZFBS"), _scheduler("StepLR")),
        optimizer__lr={"optimizer group 0": [1.0, 1e-4, 1e-4, 1e-4]},
    ),
    fires(
        "after a plateau",
        severity=Severity.NOTE,
        events=(event("loop_order", order="ZFBS"), _scheduler("ReduceLROnPlateau")),
        optimizer__lr={"optimizer group 0": [1.0, 1e-4, 1e-4, 1e-4]},
    ),
    silent(
        "just above the share",
        events=_EACH,
        optimizer__lr={"optimizer group 0": [1.0, 0.1, 1.2e-2, 1.2e-2]},
    ),
    silent(
        "less than half of the steps",
        events=_EACH,
        optimizer__lr={"optimizer group 0": [1.0, 1.0, 0.1, 1e-3, 1e-3]},
    ),
    silent("warm-up from nothing", events=_EACH, optimizer__lr={"optimizer group 0": [1e-9] * 9 + [1.0]}),
)
