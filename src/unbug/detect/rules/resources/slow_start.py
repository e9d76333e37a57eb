"""It took very long until the first step.

Why it matters: the machine is paid for while data are copied, models compiled and caches built.
How it decides: between the first event of the run and the first of a step at least `minutes` passed.
When it is wrong: preparations that are due once. It is a note.
What to do: keep prepared data and compiled models from run to run; load weights on the device at once.
Source: the idea is that of SageMaker Debugger's MaxInitializationTime, and so is the number.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    facts_evidence,
    fires,
    silent,
    threshold,
)

_KINDS = ("source", "seeds", "checkpoint", "hyperparameters", "console", "loader")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    minutes: float = threshold(
        20.0, unit="minutes", low=0.1, high=10_000.0, why="as SageMaker Debugger has it"
    )


@detector(
    "R107",
    "slow-start",
    chinese="启动过慢",
    diagnoses=(),
    events=("places", *_KINDS),
    severity=Severity.NOTE,
    since="0.3",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    begun = [one for one in window.events("places") if one.step <= 0]
    if not begun or window.training.number > 0:
        return
    before = [one.t_ns for kind in _KINDS for one in window.events(kind)]
    minutes = (begun[0].t_ns - min(before, default=begun[0].t_ns)) / 60e9
    if minutes < at.minutes:
        return
    yield Finding(
        place="loop",
        message=Bilingual(
            f"{minutes:.0f} minutes passed before the first step", f"第一步之前用了 {minutes:.0f} 分钟"
        ),
        advice=Bilingual(
            "keep prepared data and compiled models from run to run",
            "在多次运行之间保留已准备的数据与编译结果",
        ),
        steps=(0, 0),
        known_at=0,
        evidence=(
            facts_evidence(
                window,
                "loop",
                (0, 0),
                Bilingual("time before the first step", "第一步之前的时间"),
                minutes=minutes,
            ),
        ),
    )


def _at(kind: str, minutes: float) -> Event:
    return Event(
        kind=kind, t_ns=int(minutes * 60e9), training=0, step=0, phase=Phase.TRAIN, fields={"file": "t.py"}
    )


CASES = (
    fires("exactly", place="loop", events=(_at("source", 1.0), _at("places", 21.0))),
    silent("a little faster", events=(_at("source", 1.0), _at("places", 20.9))),
    silent("nothing told before", events=(_at("places", 90.0),)),
)
