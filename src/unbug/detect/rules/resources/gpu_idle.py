"""The GPU has little to do.

Why it matters: it is the dearest part of the machine, and waits.
How it decides: over at least `rows` samples, the 95th percentile of its load lies below `busy`; or it lies
    above, while the 5th lies below `idle`, so that the load comes and goes. What the other series show
    tells why: most samples with a load of at most `idle` come while the cores that the program may use are
    at least `cores` busy (the CPU cannot keep up), or while steps spend at least `wait` of their time
    waiting for data; else, if the memory in use stays below `busy` as well, the batch is small.
When it is wrong: small models, which cannot fill a GPU. It is a note, since it costs time only.
What to do: for the CPU: move work to the GPU or to more workers; for data: more workers, prefetching,
    `pin_memory=True`; else larger batches, and `torch.compile`.
Source: the rules LowGPUUtilization, CPUBottleneck, IOBottleneck and BatchSize of SageMaker Debugger, with
    their shares; no program with a GPU was measured here, only written series.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Track,
    Window,
    detector,
    fires,
    joined,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(60, unit="samples", low=5, high=100_000, why="five minutes")
    busy: float = threshold(0.7, unit="fraction", low=0.05, high=1.0, why="as SageMaker Debugger has it")
    idle: float = threshold(0.1, unit="fraction", low=0.0, high=0.9, why="as SageMaker Debugger has it")
    cores: float = threshold(
        0.9, unit="busy cores", low=0.1, high=1000.0, why="one Python thread at its limit"
    )
    wait: float = threshold(0.5, unit="of the step", low=0.05, high=1.0, why="as SageMaker Debugger has it")
    most: float = threshold(
        0.5, unit="of the idle samples", low=0.05, high=1.0, why="it is the rule, not chance"
    )


@detector(
    "R108",
    "gpu-idle",
    chinese="GPU 利用率低",
    diagnoses=("dataloader-bottleneck",),
    reads=("gpu.busy_share", "gpu.memory_used_bytes", "process.cpu_share", "step.wait_s", "step.time_s"),
    severity=Severity.NOTE,
    since="0.3",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for load in window.read("gpu.busy_share"):
        values = load.values[np.isfinite(load.values)]
        if len(values) < at.rows:
            continue
        low, high = (float(one) for one in np.percentile(values, (5, 95)))
        if high >= at.busy and low >= at.idle:
            continue
        why, advice, diagnoses = _why(window, load, at)
        steady = high < at.busy
        yield Finding(
            place="process",
            message=Bilingual(
                f"{load.statistic} is busy for at most {high:.0%} of the time (95th percentile of "
                f"{len(values)} "
                "samples)",
                f"{load.statistic} 的利用率最高只有 {high:.0%}（{len(values)} 个样本的第 95 百分位）",
            )
            if steady
            else Bilingual(
                f"the load of {load.statistic} comes and goes: from {low:.0%} to {high:.0%} (5th and 95th "
                f"percentile of {len(values)} samples)",
                f"{load.statistic} 的负载时有时无：从 {low:.0%} 到 {high:.0%}（{len(values)} 个样本的"
                "第 5 与第 95 百分位）",
            ),
            advice=why + advice,
            diagnoses=diagnoses,
            steps=(int(load.steps[0]), int(load.steps[-1])),
            evidence=(
                load.evidence(
                    threshold=at.busy, above=False, mark=(), label=Bilingual("load of the GPU", "GPU 负载")
                ),
            ),
        )


def _why(window: Window, load: Track, at: Thresholds) -> tuple[Bilingual, Bilingual, tuple[str, ...]]:
    idle = load.steps[load.values <= at.idle]
    wait, time = window.one("step.wait_s"), window.one("step.time_s")
    if wait is not None and time is not None and len(wait) and len(time):
        _, waited, took = joined(wait, time)
        if len(took) and np.nansum(waited) >= at.wait * np.nansum(took):
            return (
                Bilingual("steps wait for data: ", "每步都在等待数据："),
                Bilingual(
                    "use more workers, prefetching and pin_memory=True",
                    "增加加载进程、预取，并设 pin_memory=True",
                ),
                ("dataloader-bottleneck",),
            )
    cpu = window.one("process.cpu_share")
    if cpu is not None and len(idle):
        near = np.interp(idle, cpu.steps, cpu.values)
        if float(np.mean(near >= at.cores)) >= at.most:
            return (
                Bilingual("the CPU is busy while the GPU waits: ", "GPU 等待时 CPU 正忙："),
                Bilingual(
                    "move work to the GPU, to data workers or into torch.compile",
                    "把工作移到 GPU、数据加载进程或交给 torch.compile",
                ),
                (),
            )
    return (
        Bilingual("", ""),
        Bilingual(
            "use larger batches, or a smaller device; torch.compile and CUDA graphs help small kernels",
            "使用更大的批次或更小的设备；torch.compile 与 CUDA graphs 有助于小算子",
        ),
        (),
    )


def _load(low: float, high: float, rows: int = 60) -> dict[str, Any]:
    return {"gpu__busy_share": {"process gpu 0": [low, high] * (rows // 2)}}


CASES = (
    fires("never busy", place="process", **_load(0.3, 0.69)),
    fires("comes and goes", **_load(0.05, 0.95)),
    fires(
        "it waits for data",
        diagnoses=("dataloader-bottleneck",),
        step__time_s={"loop": [1.0] * 60},
        step__wait_s={"data": [0.5] * 60},
        **_load(0.05, 0.5),
    ),
    fires(
        "the CPU cannot keep up",
        diagnoses=(),
        process__cpu_share={"process": [1.0] * 60},
        **_load(0.05, 0.5),
    ),
    silent("busy", **_load(0.5, 0.9)),
    silent("too few samples", **_load(0.0, 0.1, rows=58)),
    silent("no GPU", process__cpu_share={"process": [1.0] * 60}),
)
