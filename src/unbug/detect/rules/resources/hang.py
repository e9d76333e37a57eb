"""No step is made any more, while the program still runs.

Why it matters: the machine is paid for and nothing is learned; the program will not end by itself.
How it decides: the recorder watches the time since the last step. Where none comes for 20 times the usual
    time of a step, and for two minutes at least, it notes that once, with the stacks of all threads. The
    rule states it where the wait is at least `times` the median step.
When it is wrong: a long evaluation, a download or a checkpoint between two steps; the training went on
    then.
What to do: look at where the threads stand: a lock, a queue that nobody fills, a collective call that one
    rank never reaches, a data worker that died.
Source: the bar of two minutes and 20 steps is ours, see `docs/explanation/thresholds.md`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Source,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)

_FRAME = re.compile(r"(.+):(\d+) in ")
_FOREIGN = ("site-packages", "/lib/python", "\\lib\\", "<frozen", "/unbug/hooks/", "/unbug/session/")
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    times: float = threshold(
        20.0, unit="times the median step", low=2.0, high=1e6, why="evaluations are shorter"
    )


@detector(
    "R101",
    "hang",
    chinese="训练卡住",
    diagnoses=(),
    events=("hang",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for seen in window.events("hang"):
        waited, usual = _number(seen, "since_s"), _number(seen, "median_s")
        if usual > 0 and waited < at.times * usual:
            continue
        step, frames = max(seen.step, 0), _main_thread(seen)
        there = (
            Bilingual(f"; the main thread is at {frames[-1]}", f"；主线程停在 {frames[-1]}")
            if frames
            else Bilingual()
        )
        who = Bilingual(f"rank {seen.rank}: ", f"进程 {seen.rank}：") if seen.rank else Bilingual()
        yield Finding(
            place="loop",
            message=who
            + Bilingual(
                f"no step for {waited:.0f} s after step {step}, where a step takes {usual:.3g} s (limit "
                f"{at.times:g} times)",
                f"第 {step} 步之后 {waited:.0f} 秒没有新的一步，而平常一步只需 {usual:.3g} 秒"
                f"（阈值 {at.times:g} 倍）",
            )
            + there,
            advice=Bilingual(
                "look at where the threads stand: a lock, a queue that nobody fills, a collective call that "
                "another rank never reaches, a data worker that died",
                "查看各线程停在何处：锁、无人填充的队列、另一个进程从未到达的集合通信，或已死亡的数据加载"
                "进程",
            ),
            steps=(step, step),
            known_at=step,
            source=_source(frames),
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (step, step),
                    Bilingual("stacks of the threads", "各线程的调用栈"),
                    waited_s=waited,
                    median_step_s=usual,
                    **{name: " → ".join(map(str, stack[-_SHOWN:])) for name, stack in _stacks(seen)},
                ),
            ),
        )


def _stacks(seen: Event) -> list[tuple[str, list[str]]]:
    """Frames of each thread, the innermost last: `file:line in function`."""
    told = seen.fields.get("stacks")
    return (
        [(str(name), list(stack)) for name, stack in told.items() if stack] if isinstance(told, dict) else []
    )


def _main_thread(seen: Event) -> list[str]:
    return next((stack for name, stack in _stacks(seen) if name == "MainThread"), [])


def _source(frames: list[str]) -> Source | None:
    """The innermost line that is of the program: neither of a library nor of Python."""
    for frame in reversed(frames):
        found = _FRAME.match(frame)
        if found and not any(part in found[1] for part in _FOREIGN):
            return Source(file=found[1], line=int(found[2]))
    return None


def _number(seen: Event, name: str) -> float:
    value = seen.fields.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


_STACK = ["/home/me/train.py:12 in main", "/usr/lib/python3.11/queue.py:171 in Queue.get"]


def _hang(since_s: float, median_s: float, **fields: Any) -> Event:
    return event("hang", step=7, since_s=since_s, median_s=median_s, stacks={"MainThread": _STACK}, **fields)


CASES = (
    fires("exactly at the limit", place="loop", events=(_hang(200.0, 10.0),)),
    fires("no step was measured", place="loop", events=(_hang(120.0, 0.0),)),
    silent("a wait that steps of this length allow", events=(_hang(199.0, 10.0),)),
    silent("no hang", events=(event("loop_order", order="ZFBS"),)),
)
