"""A scheduler was made for the optimizer, and never stepped.

Why it matters: the learning rate stays what it was at the start. For schedules that begin low, such as
    `OneCycleLR`, it stays far below the rate that was asked for.
How it decides: at the end, the optimizer carries the mark of a scheduler (`initial_lr`), no scheduler was
    stepped in any order of calls, at least half of the steps were watched, and the learning rate was the
    same in at least `steps` steps. It is a warning where each example was seen at least `passes` times on
    average, so that epochs have passed, or where the rate is at most `low` of the schedule's peak; else a
    note.
When it is wrong: a program that marks `initial_lr` itself, and lets the rate be.
What to do: call `scheduler.step()` once an epoch, or in every step if the schedule counts steps.
Source: PyTorch documentation, "How to adjust learning rate"; the numbers are ours.
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
    fires,
    orders,
    program_line,
    silent,
    stepping,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(50, unit="steps", low=2, high=10**9, why="fewer may be less than an epoch")
    passes: float = threshold(2.0, unit="times", low=1.0, high=1000.0, why="an epoch and more have passed")
    low: float = threshold(0.2, unit="of the peak", low=0.0, high=1.0, why="OneCycleLR begins at 0.04 of it")


@detector(
    "O108",
    "scheduler-never-stepped",
    chinese="调度器从未推进",
    diagnoses=("lr-schedule",),
    reads=("optimizer.lr",),
    events=("optimizer", "loop_order", "scheduler", "sampling", "source"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    setup, rate = stepping(window), window.one("optimizer.lr")
    if setup is None or rate is None or "initial_lr" not in setup.options or len(rate) < at.steps:
        return
    words = [word for _, word in orders(window)]
    counted = sum(int(one.fields.get("count") or 0) for one in window.events("loop_order"))
    if any("L" in word for word in words) or window.events("scheduler") or counted < 0.5 * window.steps:
        return
    value, peak = float(rate.values[0]), setup.number("max_lr")
    if not words or (rate.values != value).any() or not value > 0:
        return
    passes = _passes(window)
    low = 0 < value <= at.low * peak
    seen = (
        Bilingual(f"; each example was seen {passes:.1f} times", f"；每个样本平均被看过 {passes:.1f} 次")
        if passes
        else Bilingual()
    )
    yield Finding(
        place="optimizer",
        message=Bilingual(
            f"a scheduler was made and never stepped: the learning rate stayed {value:.3g} for {len(rate)} "
            "steps",
            f"创建了调度器却从未推进：学习率一直是 {value:.3g}，共 {len(rate)} 步",
        )
        + (Bilingual(f", where its peak is {peak:.3g}", f"，而峰值应为 {peak:.3g}") if low else Bilingual())
        + seen,
        advice=Bilingual(
            "call scheduler.step() once an epoch, or in every step if the schedule counts steps",
            "每个 epoch 调用一次 scheduler.step()；若调度按步计数，则每一步都调用",
        ),
        severity=None if low or passes >= at.passes else Severity.NOTE,
        source=program_line(window, r"(lr_scheduler\.\w+|[A-Z]\w*LR|WarmRestarts|get_\w*schedule\w*)\(")
        or setup.source,
        evidence=(rate.evidence(mark=(), label=Bilingual("learning rate", "学习率")),),
    )


def _passes(window: Window) -> float:
    """How often each example of the training data was seen; 0 where that is not known."""
    for seen in reversed(window.events("sampling")):
        for stream in seen.fields.get("streams") or ():
            rows, distinct = stream.get("rows_looked_at") or 0, stream.get("distinct_rows") or 0
            if stream.get("grad") and rows and distinct:
                return max(float(rows) / float(distinct), float(stream.get("epochs") or 0))
    return 0.0


def _made(**options: Any) -> Event:
    group = {"lr": 0.1, "elements": 9, **options}
    return event(
        "optimizer",
        **dict[str, Any]({"class": "torch.optim.adam.Adam", "groups": [group], "file": "t.py", "line": 3}),
    )


def _order(word: str, count: int = 60) -> Event:
    return event("loop_order", order=word, count=count, first_step=0)


def _seen(rows: int) -> Event:
    return event("sampling", streams=[{"grad": True, "rows_looked_at": rows, "distinct_rows": 10}])


_SAME = {"optimizer group 0": [0.1] * 60}
CASES = (
    fires(
        "epochs have passed",
        place="optimizer",
        severity=Severity.WARNING,
        events=(_made(initial_lr=0.1), _order("ZFBS"), _seen(20)),
        optimizer__lr=_SAME,
    ),
    fires(
        "far below the peak",
        severity=Severity.WARNING,
        events=(_made(initial_lr=0.1, max_lr=0.5), _order("ZFBS")),
        optimizer__lr=_SAME,
    ),
    fires(
        "perhaps no epoch has passed",
        severity=Severity.NOTE,
        events=(_made(initial_lr=0.1), _order("ZFBS"), _seen(19)),
        optimizer__lr=_SAME,
    ),
    silent("no scheduler", events=(_made(), _order("ZFBS"), _seen(90)), optimizer__lr=_SAME),
    silent(
        "stepped once an epoch, without effect so far",
        events=(_made(initial_lr=0.1), _order("ZFBS", 58), _order("ZFBSL", 2), _seen(90)),
        optimizer__lr=_SAME,
    ),
    silent(
        "most steps were not watched",
        events=(_made(initial_lr=0.1), _order("ZFBS", 29), _seen(90)),
        optimizer__lr=_SAME,
    ),
    silent(
        "the rate changes nevertheless",
        events=(_made(initial_lr=0.1), _order("ZFBS"), _seen(90)),
        optimizer__lr={"optimizer group 0": [0.1] * 50 + [0.01] * 10},
    ),
)
