"""A schedule that is meant to fall once runs up and down again and again.

Why it matters: `CosineAnnealingLR` goes on past `T_max`, and climbs back. Stepped in every batch while
    `T_max` counts epochs, the learning rate swings between its peak and nothing all the time.
How it decides: a `CosineAnnealingLR` was stepped at least `turns` times as often as its `T_max` says, once
    in (nearly) every step of the optimizer.
When it is wrong: swings on purpose; `CosineAnnealingWarmRestarts` and `CyclicLR` say so, and are not told.
What to do: call `scheduler.step()` once an epoch, or set `T_max` to the number of steps.
Source: PyTorch documentation of `CosineAnnealingLR`; the number of turns is ours.
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
    turns: float = threshold(4.0, unit="times T_max", low=1.5, high=1000.0, why="two rises and falls")
    share: float = threshold(0.8, unit="of all steps", low=0.1, high=1.0, why="a few steps may be skipped")


@detector(
    "O106",
    "schedule-swings",
    chinese="学习率反复摆动",
    diagnoses=("lr-schedule",),
    events=("scheduler",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for seen in schedulers(window):
        limit = seen.options.get("T_max")
        if seen.class_name != "CosineAnnealingLR" or not isinstance(limit, int | float) or limit < 2:
            continue
        if seen.count < at.turns * limit or seen.count < at.share * (seen.step + 1):
            continue
        yield Finding(
            place="optimizer",
            message=Bilingual(
                f"the CosineAnnealingLR was stepped {seen.count} times by step {seen.step}, though T_max is "
                f"{limit:g}: the learning rate rises and falls every {2 * limit:g} steps",
                f"CosineAnnealingLR 被推进了 {seen.count} 次（到第 {seen.step} 步），而 T_max 为 "
                f"{limit:g}：学习率每 {2 * limit:g} 步升降一次",
            ),
            advice=Bilingual(
                "call scheduler.step() once an epoch, or set T_max to the number of steps",
                "每个 epoch 只调用一次 scheduler.step()，或把 T_max 设为总步数",
            ),
            steps=(min(int(limit), seen.step), seen.step),
            known_at=seen.step,
            source=seen.source,
            evidence=(
                facts_evidence(
                    window,
                    "optimizer",
                    (min(int(limit), seen.step), seen.step),
                    Bilingual("the scheduler", "调度器"),
                    scheduler=seen.class_name,
                    T_max=limit,
                    stepped=seen.count,
                ),
            ),
        )
        return


def _stepped(step: int, count: int, name: str = "CosineAnnealingLR", **options: Any) -> Event:
    given = {"T_max": 10, **options}
    return event("scheduler", step=step, **dict[str, Any]({"class": name, "options": given, "count": count}))


CASES = (
    fires("just often enough", place="optimizer", events=(_stepped(2, 3), _stepped(39, 40))),
    silent("not often enough", events=(_stepped(38, 39),)),
    silent("once an epoch", events=(_stepped(400, 40),)),
    silent("restarts on purpose", events=(_stepped(99, 100, "CosineAnnealingWarmRestarts"),)),
)
