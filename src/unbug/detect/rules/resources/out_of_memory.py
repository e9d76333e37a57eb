"""The program ended because memory ran out.

Why it matters: the run is not finished, and the next one ends at the same place.
How it decides: the last event `end` says so: the error that ended the program speaks of memory, or the
    kernel killed one of its processes for memory, or it was killed while next to none was left (then it is
    only likely).
When it is wrong: a process that somebody else killed while memory was scarce.
What to do: a smaller batch with accumulation, mixed precision, activation checkpointing; look at whether
    memory grew from step to step, which is a leak.
Source: the kernel's `oom_kill` counter, PyTorch's `OutOfMemoryError`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Window,
    detector,
    ended_by,
    ending_evidence,
    event,
    fires,
    last_checkpoint,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    likely: float = threshold(
        0.6, unit="confidence where it is only likely", low=0.0, high=1.0, why="others kill as well"
    )


@detector(
    "R102",
    "out-of-memory",
    chinese="内存耗尽",
    diagnoses=(),
    events=("end", "checkpoint"),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.97,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    ended = ended_by(window, "out-of-memory")
    if ended is None:
        return
    seen, step = ended
    why, sure = str(seen.fields.get("text") or "out of memory"), seen.fields.get("sure") is not False
    yield Finding(
        place="loop",
        message=Bilingual(
            f"the program ended for lack of memory after {window.steps} steps: {why}",
            f"程序在 {window.steps} 步之后因内存不足而结束：{why}",
        ),
        advice=Bilingual(
            "make batches smaller and accumulate gradients, use mixed precision or activation checkpointing",
            "减小批次并累积梯度，或使用混合精度、激活检查点",
        )
        + last_checkpoint(window, window.steps + 1),
        confidence=None if sure else at.likely,
        steps=(step, step),
        known_at=step,
        evidence=(ending_evidence(window, seen, step),),
    )


CASES = (
    fires(
        "an error of memory", events=(event("end", reason="out-of-memory", text="OutOfMemoryError: CUDA"),)
    ),
    fires(
        "likely",
        events=(event("end", reason="out-of-memory", text="SIGKILL, likely for memory", sure=False),),
    ),
    silent("another end", events=(event("end", reason="failed", text="ValueError"),)),
    silent("no end yet", ended=False, events=(event("loop_order", order="ZFBS"),)),
)
