"""Most of the time the training waits for its data loader.

Why it matters: the processor or GPU that trains stands still meanwhile.
How it decides: over at least `rows` recorded steps after the first ones, waiting takes at least `share` of
    the time of the steps, `wait` at the median, and `total` in all, so that small programs with everything
    in memory are left alone.
When it is wrong: a data source that cannot be faster.
What to do: load in worker processes (`num_workers`), keep them (`persistent_workers=True`), and move what
    is dear out of `__getitem__`: decode, resize or tokenise once and keep the result.
Source: AWS, Amazon SageMaker Debugger, rules Dataloader and IOBottleneck, for the quantity; numbers are
    ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Evidence,
    Finding,
    Severity,
    Track,
    Window,
    detector,
    event,
    fires,
    joined,
    silent,
    threshold,
)
from unbug.detect.dataline import loader_line

_SKIPPED = 2


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.5, unit="of the time", low=0.1, high=1.0, why="half of the time is lost")
    wait: float = threshold(0.005, unit="s", low=0.0001, high=60, why="batches in memory take below 1 ms")
    total: float = threshold(0.3, unit="s", low=0.01, high=1e6, why="less is not worth the change")
    rows: int = threshold(20, unit="recorded steps", low=5, high=10**6, why="outlasts the start of workers")


@detector(
    "R120",
    "slow-data-loader",
    chinese="数据加载过慢",
    diagnoses=("dataloader-bottleneck",),
    reads=("step.time_s", "step.wait_s"),
    events=("loader",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.93,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    time, wait = window.one("step.time_s"), window.one("step.wait_s")
    if time is None or wait is None:
        return
    steps, took, waited = joined(time, wait)
    keep = np.isfinite(took) & np.isfinite(waited) & (steps >= _SKIPPED)
    steps, took, waited = steps[keep], took[keep], np.minimum(waited[keep], took[keep])
    known = _known(took, waited, at)
    if known is None:
        return
    share, median = float(waited[:known].sum() / took[:known].sum()), float(np.median(waited[:known]))
    step = int(steps[known - 1])
    workers = _workers(window)
    yield Finding(
        place="data",
        message=Bilingual(
            f"{share:.0%} of the time of {known} steps went into waiting for data, {median * 1000:.3g} "
            "ms at the "
            f"median (limit {at.share:.0%}); the loader has {workers} workers",
            f"{known} 步的时间中有 {share:.0%} 用于等待数据，中位数为 {median * 1000:.3g} 毫秒"
            f"（阈值 {at.share:.0%}）；加载器有 {workers} 个工作进程",
        ),
        advice=_advice(workers),
        steps=(int(steps[0]), step),
        known_at=step,
        source=loader_line(window),
        evidence=(_evidence(wait, step, at),),
    )


def _evidence(wait: Track, step: int, at: Thresholds) -> Evidence:
    part = slice(0, int(np.searchsorted(wait.steps, step, side="right")))
    return wait.evidence(part, threshold=at.wait, mark=(), label=Bilingual("waiting for data", "等待数据"))


def _known(took: np.ndarray, waited: np.ndarray, at: Thresholds) -> int | None:
    """Rows after which it is known: looked for at lengths that grow by a quarter."""
    rows = at.rows
    while rows <= len(took):
        lost = float(waited[:rows].sum())
        if lost >= at.total and lost >= at.share * took[:rows].sum() and np.median(waited[:rows]) >= at.wait:
            return rows
        rows += max(1, rows // 4)
    return None


def _workers(window: Window) -> int:
    counts = [one.fields.get("num_workers") for one in window.events("loader") if one.fields.get("grad")]
    known = [one for one in counts if isinstance(one, int)]
    return max(known, default=0)


def _advice(workers: int) -> Bilingual:
    if workers:
        return Bilingual(
            "do less in __getitem__ (decode and resize once, keep the result), or raise num_workers",
            "减少 __getitem__ 中的工作（只解码和缩放一次并保存结果），或增大 num_workers",
        )
    return Bilingual(
        "load in worker processes: DataLoader(…, num_workers=4, persistent_workers=True)",
        "使用工作进程加载：DataLoader(…, num_workers=4, persistent_workers=True)",
    )


_LOADER = event("loader", grad=True, data=0, num_workers=0)
CASES = (
    fires(
        "half of the time",
        place="data",
        events=(_LOADER,),
        step__time_s={"loop": [0.04] * 30},
        step__wait_s={"data": [0.02] * 30},
    ),
    silent("less than half", step__time_s={"loop": [0.05] * 300}, step__wait_s={"data": [0.02] * 300}),
    silent("short waits", step__time_s={"loop": [0.005] * 300}, step__wait_s={"data": [0.004] * 300}),
    silent(
        "workers that start",
        step__time_s={"loop": [5.0, 5.0] + [0.02] * 99},
        step__wait_s={"data": [5.0, 5.0] + [0.001] * 99},
    ),
    silent("few steps", step__time_s={"loop": [0.04] * 21}, step__wait_s={"data": [0.03] * 21}),
)
