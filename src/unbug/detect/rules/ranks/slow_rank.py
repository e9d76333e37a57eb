"""One rank waits for its data, and all others wait for it.

Why it matters: ranks that average their gradients go as fast as the slowest of them.
How it decides: over at least `steps` recorded steps, the median wait for data of one rank is at least
    `share` of its step and 5 ms, and `times` the longest of the other ranks.
When it is wrong: ranks that do not wait for one another.
What to do: look at what that rank reads, another disk or longer examples, and shuffle over all ranks; or
    give it more workers.
Source: the idea is that of SageMaker Debugger's profiler rules on imbalance; the numbers are ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Case,
    Finding,
    Severity,
    Window,
    detector,
    facts_evidence,
    threshold,
)

_LEAST_S = 0.005


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(20, unit="recorded steps", low=5, high=10**6, why="the first steps fill caches")
    share: float = threshold(0.2, unit="of the step", low=0.01, high=1.0, why="less is hardly felt")
    times: float = threshold(3.0, unit="times", low=1.1, high=1000.0, why="loaders differ by chance")


@detector(
    "K104",
    "slow-rank",
    chinese="有进程拖慢全部",
    diagnoses=("dataloader-bottleneck",),
    reads=("step.wait_s", "step.time_s", "loss.value"),
    severity=Severity.WARNING,
    since="0.4",
    final=True,
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    seen = [(one.one("step.wait_s"), one.one("step.time_s")) for one in window.ranks]
    pairs = [(wait, time) for wait, time in seen if wait is not None and time is not None]
    if len(pairs) < 2 or len(pairs) < len(seen) or min(len(wait) for wait, _ in pairs) < at.steps:
        return
    waits = [float(np.nanmedian(wait.values)) for wait, _ in pairs]
    slow = int(np.argmax(waits))
    rest, whole = max(waits[:slow] + waits[slow + 1 :]), float(np.nanmedian(pairs[slow][1].values))
    if waits[slow] < max(at.times * rest, at.share * whole, _LEAST_S):
        return
    track = pairs[slow][0]
    steps = int(track.steps[0]), int(track.steps[-1])
    yield Finding(
        place="data",
        message=Bilingual(
            f"rank {slow} waits {waits[slow] * 1e3:.0f} ms of each step for data, the others "
            f"{rest * 1e3:.0f} ms",
            f"进程 {slow} 每步等待数据 {waits[slow] * 1e3:.0f} ms，其他进程 {rest * 1e3:.0f} ms",
        ),
        advice=Bilingual(
            "look at what this rank reads and where from, or give it more workers",
            "检查该进程读取什么、从哪里读取，或为它增加 worker",
        ),
        steps=steps,
        known_at=int(track.steps[at.steps - 1]),
        evidence=(
            facts_evidence(
                window,
                "data",
                steps,
                Bilingual("waits of the ranks", "各进程的等待"),
                wait_s_by_rank=[round(one, 6) for one in waits],
                step_s=round(whole, 6),
            ),
        ),
    )


def _ranks(waits: Sequence[float], steps: int = 20) -> Window:
    series = [
        {
            "loss.value": {"loss": [1.0] * steps},
            "step.wait_s": {"data": [one] * steps},
            "step.time_s": {"loop": [0.1] * steps},
        }
        for one in waits
    ]
    beside = [Window.from_lists(one, ended=True) for one in series[1:]]
    return Window.from_lists(series[0], beside=beside, ended=True)


CASES = (
    Case(label="one of two", fires=True, place="data", make=lambda: _ranks([0.001, 0.05])),
    Case(label="all alike", fires=False, make=lambda: _ranks([0.05, 0.05])),
    Case(label="a small part of the step", fires=False, make=lambda: _ranks([0.001, 0.012])),
    Case(label="too few steps", fires=False, make=lambda: _ranks([0.001, 0.05], steps=19)),
)
