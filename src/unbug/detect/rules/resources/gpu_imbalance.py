"""The GPUs of one process do not share the work evenly.

Why it matters: the fastest ones wait for the slowest.
How it decides: over at least `rows` samples, the mean loads of two GPUs that this process uses differ by at
    least `apart`.
When it is wrong: devices of different kind, or a model cut into unequal parts on purpose. Processes of
    their own for each GPU are not compared. It is a note.
What to do: cut the model or the batch so that each device gets as much; `DistributedDataParallel` in place
    of `DataParallel`.
Source: the idea is that of SageMaker Debugger's LoadBalancing; the numbers are ours. No program with GPUs
    was measured here, only written series.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Window,
    detector,
    fires,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(60, unit="samples", low=5, high=100_000, why="five minutes")
    apart: float = threshold(0.3, unit="fraction of the time", low=0.01, high=1.0, why="a third of a device")


@detector(
    "R110",
    "gpu-imbalance",
    chinese="GPU 负载不均",
    diagnoses=(),
    reads=("gpu.busy_share",),
    severity=Severity.NOTE,
    since="0.3",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loads = [track for track in window.read("gpu.busy_share") if np.isfinite(track.values).sum() >= at.rows]
    if len(loads) < 2:
        return
    means = [float(np.nanmean(track.values)) for track in loads]
    least, most = int(np.argmin(means)), int(np.argmax(means))
    if means[most] - means[least] < at.apart:
        return
    yield Finding(
        place="process",
        message=Bilingual(
            f"{loads[most].statistic} is busy for {means[most]:.0%} of the time, {loads[least].statistic} "
            f"for "
            f"{means[least]:.0%}",
            f"{loads[most].statistic} 的利用率为 {means[most]:.0%}，而 {loads[least].statistic} 只有 "
            f"{means[least]:.0%}",
        ),
        advice=Bilingual(
            "give each device as much to do; use DistributedDataParallel in place of DataParallel",
            "让各设备分担同样多的工作；用 DistributedDataParallel 代替 DataParallel",
        ),
        steps=(int(loads[most].steps[0]), int(loads[most].steps[-1])),
        evidence=(
            loads[least].evidence(mark=(), label=Bilingual("load of the GPU", "GPU 负载")),
            loads[most].evidence(mark=(), label=Bilingual("load of the GPU", "GPU 负载")),
        ),
    )


CASES = (
    fires(
        "a third apart",
        place="process",
        gpu__busy_share={"process gpu 0": [0.9] * 60, "process gpu 1": [0.59] * 60},
    ),
    silent("alike", gpu__busy_share={"process gpu 0": [0.9] * 60, "process gpu 1": [0.7] * 60}),
    silent("one", gpu__busy_share={"process gpu 0": [0.9] * 60}),
    silent("too few samples", gpu__busy_share={"process gpu 0": [0.9] * 59, "process gpu 1": [0.1] * 59}),
)
