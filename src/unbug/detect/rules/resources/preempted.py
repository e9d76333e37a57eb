"""The scheduler took the machine back before the program had finished.

Why it matters: the run is not finished; what was not saved is lost.
How it decides: the last event `end` says that the scheduler asked the program to end. It is a warning where
    no checkpoint was saved in the last `steps` steps, else a note.
When it is wrong: somebody cancelled the job on purpose.
What to do: start it again with `unbug run --resume auto`; save a checkpoint often, and when SIGTERM comes.
Source: SLURM's and torchrun's documentation of the signals at preemption; the number of steps is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Event,
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
    steps: int = threshold(1000, unit="steps", low=0, high=10**9, why="that much work is worth saving")


@detector(
    "R103",
    "preempted",
    chinese="被调度器抢占",
    diagnoses=(),
    events=("end", "checkpoint"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    ended = ended_by(window, "preempted")
    if ended is None:
        return
    seen, step = ended
    saved = [one.step for one in window.events("checkpoint") if _is_saved(one)]
    lost = window.steps - 1 - max(saved) if saved else window.steps
    why = str(seen.fields.get("text") or "")
    yield Finding(
        place="loop",
        message=Bilingual(
            f"the program was asked to end after {window.steps} steps, {lost} of them not saved: {why}",
            f"程序在 {window.steps} 步之后被要求结束，其中 {lost} 步未保存：{why}",
        ),
        advice=Bilingual(
            "go on with `unbug run --resume auto`, and save a checkpoint when SIGTERM comes",
            "用 `unbug run --resume auto` 继续，并在收到 SIGTERM 时保存检查点",
        )
        + last_checkpoint(window, window.steps + 1),
        severity=None if lost >= at.steps else Severity.NOTE,
        steps=(step, step),
        known_at=step,
        evidence=(ending_evidence(window, seen, step),),
    )


def _is_saved(one: Event) -> bool:
    return one.fields.get("action") == "saved" and not one.fields.get("error")


_TAKEN = event("end", step=1200, reason="preempted", text="SLURM took the job back (SIGTERM)")
_SAVED = event("checkpoint", step=1100, action="saved", path="/out/1100.pt", healthy=True)
CASES = (
    fires("nothing saved", severity=Severity.WARNING, events=(_TAKEN,)),
    fires("saved a while ago", severity=Severity.NOTE, events=(_SAVED, _TAKEN)),
    silent("it finished", events=(event("end", reason="finished"),)),
    silent("somebody interrupted it", events=(event("end", reason="interrupted"),)),
)
