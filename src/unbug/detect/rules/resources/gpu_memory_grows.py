"""The memory in use on a GPU grows and grows.

Why it matters: it ends with an error for lack of memory, perhaps after hours.
How it decides: the median of the last tenth of at least `rows` samples is at least `times` that of the
    second tenth, and each tenth after that is at least as high as the one before it.
When it is wrong: batches that grow on purpose, or caches that fill up. It is a note.
What to do: keep numbers instead of tensors on the GPU (`loss.item()`, `.detach().cpu()`).
Source: the idea is that of SageMaker Debugger's GPUMemoryIncrease; the numbers are ours. No program with a
    GPU was measured here, only written series.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Window,
    block_medians,
    detector,
    fires,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(60, unit="samples", low=20, high=100_000, why="five minutes")
    times: float = threshold(1.1, unit="times", low=1.01, high=100.0, why="torch's cache settles early")


@detector(
    "R109",
    "gpu-memory-grows",
    chinese="GPU 内存持续增长",
    diagnoses=("memory-leak",),
    reads=("gpu.allocated_bytes",),
    severity=Severity.NOTE,
    since="0.3",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for track in window.read("gpu.allocated_bytes"):
        if len(track) < at.rows:
            continue
        tenths = np.asarray(block_medians(track.values, 10)[1:])
        grows = np.isfinite(tenths).all() and (np.diff(tenths) >= 0).all()
        if not grows or not tenths[0] > 0 or tenths[-1] < at.times * tenths[0]:
            continue
        yield Finding(
            place="process",
            message=Bilingual(
                f"memory in use on {track.statistic} grew from {tenths[0] / 1e6:,.0f} to "
                f"{tenths[-1] / 1e6:,.0f} MB",
                f"{track.statistic} 上使用的内存从 {tenths[0] / 1e6:,.0f} MB 增长到 "
                f"{tenths[-1] / 1e6:,.0f} MB",
            ),
            advice=Bilingual(
                "keep numbers instead of tensors: loss.item(), output.detach().cpu()",
                "保存数值而不是张量：loss.item()、output.detach().cpu()",
            ),
            steps=(int(track.steps[0]), int(track.steps[-1])),
            evidence=(
                track.evidence(
                    threshold=at.times * float(tenths[0]),
                    mark=(),
                    label=Bilingual("memory in use on the GPU", "GPU 上使用的内存"),
                ),
            ),
        )


def _memory(values: list[float]) -> dict[str, Any]:
    return {"gpu__allocated_bytes": {"process gpu 0": values}}


CASES = (
    fires("by a tenth", place="process", **_memory([1e9 + 2.3e6 * n for n in range(60)])),
    silent("settles", **_memory([1e9] * 5 + [2e9] * 55)),
    silent("by less", **_memory([1e9 + 1.5e6 * n for n in range(60)])),
    silent("up and down", **_memory([1e9, 1e9, 1e9, 1.5e9, 1.5e9, 1.5e9] * 10)),
    silent("too few samples", **_memory([1e9 + 1e8 * n for n in range(59)])),
)
