"""The scheduler drives an optimizer that is no longer in use.

Why it matters: it changes the learning rate of an optimizer that makes no step; the one that does keeps its
    own.
How it decides: of at least `count` calls of `scheduler.step()`, `share` were made while the optimizer that
    the scheduler was made for had not stepped since another one over the same training was made, or never
    at all.
When it is wrong: a scheduler for an optimizer that begins later in the training.
What to do: make the scheduler after the optimizer, from the one that steps; make both anew together.
Source: PyTorch documentation of `torch.optim.lr_scheduler`; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    schedulers,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    count: int = threshold(3, unit="calls", low=1, high=1000, why="the first ones may come before a step")
    share: float = threshold(
        0.6, unit="of all calls", low=0.1, high=1.0, why="it is so for good, not in passing"
    )


@detector(
    "O109",
    "scheduler-elsewhere",
    chinese="调度器作用于别的优化器",
    diagnoses=("lr-schedule",),
    events=("scheduler",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for seen in schedulers(window):
        if seen.count < at.count or seen.stray < at.share * seen.count:
            continue
        yield Finding(
            place="optimizer",
            message=Bilingual(
                f"the {seen.class_name} drives an optimizer that is not the one that steps: {seen.stray} of "
                f"{seen.count} calls had no effect by step {seen.step}",
                f"{seen.class_name} 作用的优化器并不是正在使用的那个：{seen.stray} 次（共 "
                f"{seen.count} 次）调用没有效果（到第 {seen.step} 步）",
            ),
            advice=Bilingual(
                "make the scheduler after the optimizer, for the one that steps",
                "在创建优化器之后、为正在使用的优化器创建调度器",
            ),
            steps=(0, seen.step),
            known_at=seen.step,
            source=seen.source,
            evidence=(
                facts_evidence(
                    window,
                    "optimizer",
                    (0, seen.step),
                    Bilingual("the scheduler", "调度器"),
                    scheduler=seen.class_name,
                    stepped=seen.count,
                    without_effect=seen.stray,
                ),
            ),
        )
        return


def _seen(step: int, count: int, stray: int) -> Event:
    return event(
        "scheduler",
        step=step,
        **dict[str, Any]({"class": "StepLR", "options": {}, "count": count, "stray": stray}),
    )


CASES = (
    fires("from the start", place="optimizer", events=(_seen(0, 1, 1), _seen(2, 3, 3))),
    fires("just often enough", events=(_seen(9, 10, 6),)),
    silent("now and then", events=(_seen(9, 10, 5),)),
    silent("once", events=(_seen(0, 1, 1),)),
    silent("never", events=(_seen(99, 100, 0),)),
)
