"""Memory grows with every step, though no graph is kept.

Why it matters: it goes on until there is none left, and the program is killed.
How it decides: the recorder takes samples of the process's memory and tells when the slope over the steps
    is above zero with 95 % confidence. From a growth of `bytes` that is also `share` of what there was at
    the start it is a warning, before that a note. Where graphs of earlier steps are alive, R104 speaks.
When it is wrong: caches, replay buffers and results that are collected on purpose; they grow until they are
    full.
What to do: keep numbers instead of tensors, write results to disk, and bound what is collected
    (`deque(maxlen=…)`).
Source: Sen 1968, JASA 63, for the slope; the numbers are ours.
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
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    bytes: float = threshold(
        1e9, unit="bytes", low=1e6, high=1e13, why="collected results are smaller mostly"
    )
    share: float = threshold(0.5, unit="of the start", low=0.01, high=100.0, why="half as much again")


@detector(
    "R105",
    "memory-grows",
    chinese="内存持续增长",
    diagnoses=("memory-leak",),
    events=("memory", "graphs"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    if any(int(seen.fields.get("old_nodes") or 0) > 0 for seen in window.events("graphs")):
        return
    for seen in window.events("memory"):
        fields = seen.fields
        start, now = float(fields.get("rss_start_bytes") or 0), float(fields.get("rss_bytes") or 0)
        slope, low = float(fields.get("bytes_per_step") or 0), float(fields.get("bytes_per_step_low") or 0)
        first, step = int(fields.get("first_step") or 0), max(seen.step, 0)
        if low <= 0 or now <= start:
            continue
        much = now - start >= at.bytes and now - start >= at.share * start
        yield Finding(
            place="loop",
            message=Bilingual(
                f"memory grew from {start / 1e6:,.0f} to {now / 1e6:,.0f} MB by step {step}, by "
                f"{slope / 1e3:,.1f} kB a step",
                f"内存从 {start / 1e6:,.0f} MB 增长到 {now / 1e6:,.0f} MB（到第 {step} 步），每步约 "
                f"{slope / 1e3:,.1f} kB",
            ),
            advice=Bilingual(
                "look at what is collected from step to step: keep numbers instead of tensors, and bound it",
                "检查逐步累积的内容：保存数值而不是张量，并限制其长度",
            ),
            severity=None if much else Severity.NOTE,
            steps=(min(first, step), step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (min(first, step), step),
                    Bilingual("memory of the process", "进程的内存"),
                    **dict(fields),
                ),
            ),
        )
        if much:
            return


def _memory(start: float, now: float, low: float = 900.0, step: int = 100) -> Event:
    fields: dict[str, Any] = {"rss_start_bytes": start, "rss_bytes": now, "first_step": 5}
    return event("memory", step=step, bytes_per_step=1000.0, bytes_per_step_low=low, **fields)


CASES = (
    fires("much", place="loop", severity=Severity.WARNING, events=(_memory(1e9, 2e9),)),
    fires("little so far", severity=Severity.NOTE, events=(_memory(1e9, 1.9e9),)),
    fires("much, but beside more", severity=Severity.NOTE, events=(_memory(1e10, 1.4e10),)),
    silent("it may not grow", events=(_memory(1e9, 3e9, low=0.0),)),
    silent("graphs are kept", events=(_memory(1e9, 3e9), event("graphs", step=50, old_nodes=40))),
    silent("nothing told"),
)
