"""The loss on other data rises while the training loss still falls.

Why it matters: the model learns its training examples by heart; what it says of others gets worse.
How it decides: at the end of the training, a loss measured without gradients was last (median of three) at
    least `rise` times its lowest value, and above it by `amount` of the first training loss, in at least
    `evaluations` evaluations, while the training loss fell to at most `fall` of what it was when the
    evaluated loss was lowest.
When it is wrong: a small rise late in a training is usual, hence the margin; accuracy may still improve
    meanwhile.
What to do: stop early and keep the best checkpoint; more data or augmentation; weight decay, dropout, a
    smaller model.
Source: Prechelt 1998, "Early Stopping - But When?"; the numbers are ours.
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
    evaluations: int = threshold(5, unit="evaluations", low=3, high=10_000, why="fewer show no trend")
    rise: float = threshold(
        1.15, unit="times the lowest", low=1.0, high=100.0, why="usual late rises stay below"
    )
    amount: float = threshold(
        0.05, unit="of the first training loss", low=0.0, high=1.0, why="small losses jitter"
    )
    fall: float = threshold(
        0.5, unit="of the training loss then", low=0.0, high=1.0, why="the gap opens on both sides"
    )


@detector(
    "O202",
    "overfitting",
    chinese="过拟合",
    diagnoses=("overfitting",),
    reads=("call.value", "loss.value"),
    events=("loss_call",),
    severity=Severity.WARNING,
    since="0.1",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss = window.one("loss.value")
    if loss is None:
        return
    for track in evaluated(window):
        steps = np.unique(track.steps)
        means = np.array([track.values[track.steps == step].mean() for step in steps])
        if len(steps) < at.evaluations or not np.isfinite(means).all():
            continue
        best = int(means.argmin())
        last = float(np.median(means[-3:]))
        if not means[best] > 0 or last < at.rise * means[best] or best > len(means) - 3:
            continue
        first = float(np.median(loss.values[:10]))
        if last - means[best] < at.amount * first:
            continue
        then = loss.values[(loss.steps <= steps[best])][-10:]
        now = loss.values[-10:]
        if not len(then) or not np.nanmedian(now) <= at.fall * np.nanmedian(then):
            continue
        yield Finding(
            place="loss",
            message=Bilingual(
                f"the evaluated loss rose from {means[best]:.4g} at step {steps[best]} to {last:.4g}, "
                f"while the training loss fell from {np.nanmedian(then):.3g} to {np.nanmedian(now):.2g}",
                f"评估损失从 {means[best]:.4g}（第 {steps[best]} 步）升到 {last:.4g}，"
                f"而训练损失从 {np.nanmedian(then):.3g} 降到 {np.nanmedian(now):.2g}",
            ),
            advice=Bilingual(
                "stop early, or use more data, augmentation, weight decay or a smaller model",
                "提前停止，或使用更多数据、数据增强、权重衰减或更小的模型",
            ),
            steps=(int(steps[best]), int(steps[-1])),
            evidence=(
                track.evidence(
                    threshold=float(at.rise * means[best]),
                    mark=(int(steps[best]),),
                    label=Bilingual("evaluated loss", "评估损失"),
                ),
                loss.evidence(mark=(int(steps[best]),), label=Bilingual("training loss", "训练损失")),
            ),
        )


def _evaluated(*values: float) -> dict[str, dict[str, dict[int, float]]]:
    return {"call.value": {"loss": {10 * (n + 1): value for n, value in enumerate(values)}}}


_FALLS = {"loss": [1.0] * 21 + [0.5] * 30}
CASES = (
    fires(
        "exactly at the thresholds",
        place="loss",
        evaluation=_evaluated(1.2, 1.0, 1.15, 1.15, 1.15),
        loss__value=_FALLS,
    ),
    silent("one evaluation short", evaluation=_evaluated(1.0, 1.3, 1.3, 1.3), loss__value=_FALLS),
    silent("just under the rise", evaluation=_evaluated(1.2, 1.0, 1.14, 1.14, 1.14), loss__value=_FALLS),
    silent(
        "the training loss rises too",
        evaluation=_evaluated(1.2, 1.0, 1.3, 1.3, 1.3),
        loss__value={"loss": [1.0] * 51},
    ),
    silent("a small loss jitters", evaluation=_evaluated(0.2, 0.1, 0.14, 0.14, 0.14), loss__value=_FALLS),
    silent("falls", evaluation=_evaluated(1.0, 0.9, 0.8, 0.7, 0.7), loss__value=_FALLS),
)
