"""The model runs in training mode, and nothing is trained on what it gives.

Why it matters: batch after batch is computed and left out. Most often the loss is NaN and a test for it
    skips the step, so that the program looks sound and learns nothing any more.
How it decides: at the end of the run, the model had run at least `passes` times in training mode, with
    gradients, since the last step of an optimizer. It is an error where no step was made at all though
    there is an optimizer, and a warning where that is at least `share` of the number of steps.
When it is wrong: an evaluation that forgets both `eval()` and `no_grad()`.
What to do: look at the loss in front of the test that leaves the step out; remove what makes it NaN. Call
    `backward` and `step` for each batch.
Source: Wang et al. 2022, "An empirical study on numerical bugs in deep learning programs"; the numbers are
    ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Training,
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
    passes: int = threshold(20, unit="forward passes", low=2, high=10**6, why="a few trial passes are usual")
    share: float = threshold(0.3, unit="of the steps", low=0.01, high=100.0, why="evaluations are shorter")


@detector(
    "T108",
    "forwards-without-backward",
    chinese="前向之后没有反向",
    diagnoses=("nan-masked", "missing-optimizer-step"),
    events=("untrained", "source"),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.75,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for seen in window.events("untrained"):
        passes, steps = int(seen.fields.get("forwards") or 0), int(seen.fields.get("steps") or 0)
        if passes < at.passes or passes < at.share * steps:
            continue
        last = max(seen.step, 0)
        test = program_line(window, r"isfinite|isnan|isinf|nan_to_num")
        skips = (
            Bilingual("; a line tests for NaN", "；程序中有一行检查 NaN") if test is not None else Bilingual()
        )
        yield Finding(
            place="loop",
            message=Bilingual(
                f"the model ran {passes} times in training mode after the last of {steps} steps, and "
                f"nothing was "
                "trained on it",
                f"最后一步（共 {steps} 步）之后，模型又以训练模式运行了 {passes} 次，却没有任何训练",
            )
            + skips
            if steps
            else Bilingual(
                f"the model ran {passes} times in training mode, and no step was ever made",
                f"模型以训练模式运行了 {passes} 次，却没有执行过任何一步",
            )
            + skips,
            advice=Bilingual(
                "look at the loss in front of what leaves the step out: it may be NaN",
                "检查跳过该步之前的损失：它可能是 NaN",
            ),
            severity=Severity.NOTE if steps else None,
            steps=(last, last),
            known_at=last,
            source=test or program_line(window, r"\.backward\("),
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (last, last),
                    Bilingual("passes without a step", "没有训练的前向"),
                    forward_passes=passes,
                    optimizer_steps=steps,
                ),
            ),
        )
        return


def _told(passes: int, steps: int) -> Event:
    return event("untrained", step=max(steps - 1, 0), forwards=passes, steps=steps)


CASES = (
    fires("no step at all", place="loop", severity=Severity.ERROR, events=(_told(20, 0),)),
    fires(
        "training stalls",
        severity=Severity.NOTE,
        events=(_told(30, 100),),
        training=Training(number=0, steps=100),
    ),
    silent("a short evaluation", events=(_told(29, 100),), training=Training(number=0, steps=100)),
    silent("a trial", events=(_told(19, 0),)),
    silent("as it should be"),
)
