"""Some steps take many times as long as the others.

Why it matters: a handful of slow steps can take as much time as all others together.
How it decides: at least `count` steps lie more than `sigmas` deviations above the median, and take at least
    `times` as long as it; in all they take at least `share` of the time, and `least` seconds. The first
    steps, which warm caches up, are left out. Where most of the slow ones waited for data, or came right
    after an evaluation or with a checkpoint, that is named.
When it is wrong: steps that differ on purpose, such as batches of very different length. It is a note,
    since it costs time only.
What to do: for loading: more workers, `persistent_workers=True`; for evaluations and checkpoints: do them
    more rarely, or in the background.
Source: the deviation is 1.4826 times the median absolute deviation; Rousseeuw and Croux 1993, "Alternatives
    to the Median Absolute Deviation", JASA 88. The idea is that of SageMaker Debugger's StepOutlier; the
    numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Phase,
    Severity,
    Track,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
)

_WARM = 5


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    sigmas: float = threshold(5.0, unit="deviations", low=2.0, high=100.0, why="noise stays below")
    times: float = threshold(5.0, unit="times the median", low=1.5, high=1000.0, why="worth a look")
    count: int = threshold(10, unit="steps", low=1, high=10_000, why="fewer are chance")
    least: float = threshold(5.0, unit="seconds", low=0.0, high=1e6, why="less is not worth a word")
    share: float = threshold(0.2, unit="of the time", low=0.01, high=1.0, why="worth the work")


@detector(
    "R106",
    "step-outliers",
    chinese="个别步特别慢",
    diagnoses=(),
    reads=("step.time_s", "step.wait_s", "call.value"),
    events=("checkpoint",),
    severity=Severity.NOTE,
    since="0.3",
    final=True,
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    time = window.one("step.time_s")
    if time is None or len(time) < _WARM + 3 * at.count:
        return
    values = time.values[_WARM:]
    if not np.nansum(values[np.isfinite(values)]) > 0:
        return
    middle = float(np.nanmedian(values))
    spread = 1.4826 * float(np.nanmedian(np.abs(values - middle)))
    limit = max(middle + at.sigmas * spread, at.times * middle)
    slow = np.flatnonzero(values > limit) + _WARM
    lost = float(np.nansum(time.values[slow]))
    share = lost / float(np.nansum(values))
    if len(slow) < at.count or share < at.share or lost < at.least or middle <= 0:
        return
    steps = time.steps[slow]
    yield Finding(
        place="loop",
        message=Bilingual(
            f"{len(slow)} of {len(values)} steps take more than {limit / middle:.0f} times the usual "
            f"{middle:.3g} s, "
            f"{share:.0%} of the time in all",
            f"{len(slow)} 步（共 {len(values)} 步）的用时超过平常的 {limit / middle:.0f} 倍（平常 "
            f"{middle:.3g} 秒），"
            f"合计占总时间的 {share:.0%}",
        )
        + _cause(window, time, slow),
        advice=Bilingual(
            "look at what these steps do beside training: load, evaluate, save, compile",
            "检查这些步除训练外还做了什么：加载、评估、保存、编译",
        ),
        steps=(int(steps[0]), int(steps[-1])),
        evidence=(
            time.evidence(
                threshold=limit,
                mark=tuple(int(step) for step in steps[:5]),
                label=Bilingual("time of a step", "每步用时"),
                unit="s",
            ),
        ),
    )


def _cause(window: Window, time: Track, slow: np.ndarray) -> Bilingual:
    """What most of the slow steps have in common; empty if nothing is known."""
    steps = time.steps[slow]
    wait = window.one("step.wait_s")
    if wait is not None:
        spent = {int(step): float(value) for step, value in zip(wait.steps, wait.values, strict=True)}
        waited = [
            spent.get(int(step), 0.0) > 0.5 * time.values[row] for step, row in zip(steps, slow, strict=True)
        ]
        if np.mean(waited) > 0.5:
            return Bilingual("; most of them waited for data", "；其中大多在等待数据")
    saved = {one.step for one in window.events("checkpoint") if one.fields.get("action") == "saved"}
    if saved and np.mean([bool({step, step - 1} & saved) for step in steps.tolist()]) > 0.5:
        return Bilingual("; most of them saved a checkpoint", "；其中大多保存了检查点")
    evaluated = {int(s) for t in window.read("call.value", phase=Phase.EVAL) for s in t.steps}
    if evaluated and np.mean([bool({step, step - 1} & evaluated) for step in steps.tolist()]) > 0.5:
        return Bilingual("; most of them came after an evaluation", "；其中大多紧跟在一次评估之后")
    return Bilingual()


_MANY = [0.1, 0.101, 0.099, 0.1] * 10
_SLOW = [*_MANY, *([0.6] * 10)]
CASES = (
    fires("just enough", place="loop", step__time_s={"loop": _SLOW}),
    fires("they wait for data", step__time_s={"loop": _SLOW}, step__wait_s={"data": [0.0] * 40 + [0.5] * 10}),
    fires(
        "they save",
        step__time_s={"loop": _SLOW},
        events=tuple(event("checkpoint", step=step, action="saved") for step in range(40, 50)),
    ),
    silent("a moment in all", step__time_s={"loop": [one / 10 for one in _SLOW]}),
    silent("too few", step__time_s={"loop": [*_MANY, *([0.6] * 9)]}),
    silent("not long enough", step__time_s={"loop": [*_MANY, *([0.49] * 10)]}),
    silent("the first steps only", step__time_s={"loop": [9.0] * 5 + _MANY}),
    silent("hardly any of the time", step__time_s={"loop": _MANY * 9 + [0.6] * 10}),
)
