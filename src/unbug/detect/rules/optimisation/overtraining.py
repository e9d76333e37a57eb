"""The evaluated loss found no new lowest value for a large part of the training.

Why it matters: the time after the best evaluation is spent for nothing.
How it decides: at the end, at least `evaluations` evaluations had been made, and the last one that was
    lower than all before by more than `delta` of itself lies before the first `rest` of them. It is a note:
    overfitting, where the loss also rises, is told by O202.
When it is wrong: losses that stay while accuracy still gets better; schedules that pay off at the very end.
What to do: stop early, and keep the best checkpoint.
Source: the idea is that of SageMaker Debugger's Overtraining; Prechelt 1998, "Early Stopping - But When?";
    the numbers are ours.
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
    evaluated,
    fires,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    evaluations: int = threshold(
        10, unit="evaluations", low=3, high=10_000, why="as SageMaker Debugger has it"
    )
    delta: float = threshold(
        0.01, unit="of the lowest", low=0.0, high=1.0, why="as SageMaker Debugger has it"
    )
    rest: float = threshold(
        0.4, unit="of the evaluations", low=0.05, high=0.95, why="more than half is waste"
    )


@detector(
    "O203",
    "overtraining",
    chinese="训练过久",
    diagnoses=("overfitting",),
    reads=("call.value",),
    events=("loss_call",),
    severity=Severity.NOTE,
    since="0.3",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for track in evaluated(window):
        steps = np.unique(track.steps)
        means = np.array([track.values[track.steps == step].mean() for step in steps])
        if len(steps) < at.evaluations or not np.isfinite(means).all() or (means <= 0).any():
            continue
        best, lowest = 0, float(means[0])
        for index, value in enumerate(means.tolist()):
            if value < (1 - at.delta) * lowest:
                best, lowest = index, value
        if best + 1 > at.rest * len(steps):
            continue
        yield Finding(
            place="loss",
            message=Bilingual(
                f"the evaluated loss was lowest at step {steps[best]} ({lowest:.4g}), and no lower in "
                f"{len(steps) - 1 - best} evaluations after that",
                f"评估损失在第 {steps[best]} 步最低（{lowest:.4g}），此后 {len(steps) - 1 - best} 次评估都"
                f"没有更低",
            ),
            advice=Bilingual("stop early, and keep the best checkpoint", "提前停止，并保留最好的检查点"),
            steps=(int(steps[best]), int(steps[-1])),
            evidence=(
                track.evidence(mark=(int(steps[best]),), label=Bilingual("evaluated loss", "评估损失")),
            ),
        )


def _evaluated(*values: float) -> dict[str, dict[str, dict[int, float]]]:
    return {"call.value": {"loss": {10 * (n + 1): value for n, value in enumerate(values)}}}


CASES = (
    fires("six of ten", place="loss", evaluation=_evaluated(4.0, 3.0, 2.0, 1.0, *([1.0] * 6))),
    silent("five of ten", evaluation=_evaluated(5.0, 4.0, 3.0, 2.0, 1.0, *([1.0] * 5))),
    silent("too few", evaluation=_evaluated(2.0, 1.0, *([1.0] * 7))),
    silent("it still falls", evaluation=_evaluated(*(1.0 / n for n in range(1, 20)))),
)
