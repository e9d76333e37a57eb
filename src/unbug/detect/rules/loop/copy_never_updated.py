"""A copy of the model that runs beside it is never brought up to date.

Why it matters: a teacher, target network or moving average that stays as it was made from untrained weights
    gives targets that mean nothing; the model learns to agree with them.
How it decides: at the end of a training of at least `steps` steps, a module of the same class and shapes as
    one that is trained, of which no optimizer holds a parameter and which was equal to it when the training
    began, has not changed in any look, while the trained one has. Where weights were loaded from a file
    first it is a note: a frozen reference is usual then.
When it is wrong: a target that is updated more rarely than the training is long; a copy of the first state
    that is kept to compare with.
What to do: update the copy after each step (`ema.mul_(0.99).add_(weight, alpha=0.01)`), or load the model's
    state into it every so many steps.
Source: Tarvainen and Valpola 2017, "Mean teachers are better role models", arXiv:1703.01780; Mnih et al.
    2015, "Human-level control through deep reinforcement learning", for target networks; the number is
    ours.
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
    program_line,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(50, unit="steps", low=1, high=10**9, why="targets follow within some dozen steps")


@detector(
    "T106",
    "copy-never-updated",
    chinese="副本从未更新",
    diagnoses=("ema-not-updated",),
    events=("twins", "checkpoint", "source"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    looks = window.events("twins")
    if not looks or window.steps < at.steps:
        return
    last = looks[-1]
    for twin in last.fields.get("twins") or ():
        if not twin.get("copied") or twin.get("changed") or not twin.get("student_moved"):
            continue
        name, student = str(twin.get("module") or ""), str(twin.get("student") or "")
        since, step = int(twin.get("since") or 0), max(last.step, 0)
        loaded = any(
            one.fields.get("action") == "loaded"
            and one.fields.get("what") == "model"
            and one.fields.get("path")
            for one in window.events("checkpoint")
            if one.step <= since
        )
        yield Finding(
            place="loop",
            message=Bilingual(
                f"the copy {name} of {student}, made before step {since}, runs beside it and had not "
                f"changed by "
                f"step {step}",
                f"{name} 是 {student} 的副本（在第 {since} 步之前创建），与其一同运行，但到第 {step} 步仍"
                f"未改变",
            ),
            advice=Bilingual(
                "update the copy after each step, or load the model's state into it every so many steps",
                "每一步之后更新该副本，或每隔若干步把模型的状态载入其中",
            ),
            severity=Severity.NOTE if loaded else None,
            steps=(since, max(step, since)),
            known_at=max(step, since),
            source=program_line(window, r"deepcopy\(")
            or program_line(window, r"\.load_state_dict\(\s*\w[\w.]*\.state_dict\("),
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (since, max(step, since)),
                    Bilingual("the copy", "副本"),
                    copy=name,
                    of=student,
                    looked_at_step=[one.step for one in looks],
                ),
            ),
        )


def _look(step: int, **fields: Any) -> Event:
    twin = {
        "module": "Net",
        "student": "Net",
        "copied": True,
        "changed": False,
        "since": 0,
        "student_moved": True,
    }
    return event("twins", step=step, twins=[twin | fields])


CASES = (
    fires(
        "never", place="loop", severity=Severity.WARNING, events=(_look(0, student_moved=False), _look(49))
    ),
    fires(
        "a reference whose weights came from a file",
        severity=Severity.NOTE,
        events=(event("checkpoint", action="loaded", what="model", path="a.pt"), _look(0), _look(99)),
    ),
    silent("it follows", events=(_look(0), _look(99, changed=True))),
    silent("a teacher that was another model from the start", events=(_look(0), _look(99, copied=False))),
    silent("the model does not change either", events=(_look(99, student_moved=False),)),
    silent("too early to tell", events=(_look(48),)),
)
