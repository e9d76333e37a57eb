"""The model says the most frequent class for every example, while the classes are far from equal.

Why it matters: accuracy looks high, and is exactly that of a program without a model; the rare class, for
    which such models are mostly made, is never found.
How it decides: at the end of the training, in the recorded calls of the loss in its later half, accuracy
    equals the share of the most frequent class in at least `share` of those that had more than one class
    (`rows` calls in training at least, or `evaluations` in evaluation), and the most frequent class has at
    least `majority` of the examples.
When it is wrong: a training that was ended before it had learned anything.
What to do: weigh the classes in the loss (`pos_weight`, `weight`), draw the rare ones more often
    (`WeightedRandomSampler`), and measure recall or balanced accuracy in place of accuracy.
Source: He and Garcia 2009, "Learning from Imbalanced Data"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Phase,
    Severity,
    Source,
    Track,
    Window,
    detector,
    evaluated,
    fires,
    joined,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    majority: float = threshold(
        0.8, unit="of the examples", low=0.5, high=1.0, why="below it, others tell more"
    )
    share: float = threshold(
        0.95, unit="of the calls", low=0.5, high=1.0, why="dropout lets single ones differ"
    )
    evaluations: int = threshold(
        3, unit="evaluations with several classes", low=2, high=10**6, why="they have more examples"
    )
    rows: int = threshold(10, unit="calls with several classes", low=3, high=10**6, why="fewer may be chance")


@detector(
    "L104",
    "majority-only",
    chinese="只预测多数类",
    diagnoses=("class-imbalance",),
    reads=("call.accuracy", "call.majority"),
    events=("loss_call",),
    severity=Severity.WARNING,
    since="0.2",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for accuracy, majority, rows in _measured(window, at):
        steps, right, most = joined(accuracy, majority)
        known = np.isfinite(right) & np.isfinite(most) & (most < 1)
        late = np.flatnonzero(known & (2 * steps >= window.steps))
        if len(late) < rows or most[late].mean() < at.majority:
            continue
        same = np.abs(right[late] - most[late]) < 1e-6
        if same.mean() < at.share:
            continue
        since, right_share, count = int(steps[late[0]]), right[late].mean(), np.count_nonzero(same)
        part = slice(*np.searchsorted(accuracy.steps, [since, int(steps[-1]) + 1]).tolist())
        where = accuracy.where.source
        yield Finding(
            place="data",
            message=Bilingual(
                f"every example is given the most frequent class: accuracy, {right_share:.1%}, is that "
                f"class's share in {count} of {len(late)} recorded batches since step {since}",
                f"每个样本都被判为最常见的类别：自第 {since} 步起，"
                f"在 {len(late)} 个记录批次中的 {count} 个里，准确率 {right_share:.1%} 恰为该类的占比",
            ),
            advice=Bilingual(
                "weigh the classes in the loss (pos_weight, weight) or draw the rare ones more often, and "
                "measure recall",
                "在损失中为类别加权（pos_weight、weight）或更多地采样稀有类别，并衡量召回率",
            ),
            source=Source(file=where[0], line=where[1]) if where is not None else None,
            evidence=(accuracy.evidence(part, mark=(), label=Bilingual("accuracy", "准确率")),),
        )
        return


def _measured(window: Window, at: Thresholds) -> Iterator[tuple[Track, Track, int]]:
    """Accuracy, share of the most frequent class, rows that are enough: of training, of evaluation."""
    free = {id(track) for track in evaluated(window, "call.accuracy")}
    for phase, rows in ((None, at.rows), (Phase.EVAL, at.evaluations)):
        accuracies = {track.where: track for track in window.read("call.accuracy", phase=phase)}
        for majority in window.read("call.majority", phase=phase):
            accuracy = accuracies.get(majority.where)
            if accuracy is not None and (id(accuracy) in free) is (phase is Phase.EVAL):
                yield accuracy, majority, rows


_LEARNS = [0.9] * 10 + [0.95, 0.91] * 5
CASES = (
    fires(
        "exactly at the thresholds",
        place="data",
        call__accuracy={"loss": [0.5] * 10 + [0.8] * 10},
        call__majority={"loss": [0.8] * 20},
    ),
    fires(
        "batches without the rare class between",
        call__accuracy={"loss": [0.9, 1.0] * 20},
        call__majority={"loss": [0.9, 1.0] * 20},
    ),
    fires(
        "seen in evaluation only",
        evaluation={
            "call.accuracy": {"loss": {1: 0.3, 2: 0.98, 3: 0.98, 4: 0.98}},
            "call.majority": {"loss": dict.fromkeys((1, 2, 3, 4), 0.98)},
        },
        loss__value={"loss": [1.0] * 4},
    ),
    silent(
        "two evaluations",
        evaluation={
            "call.accuracy": {"loss": {1: 0.3, 2: 0.9, 3: 0.98, 4: 0.98}},
            "call.majority": {"loss": dict.fromkeys((1, 2, 3, 4), 0.98)},
        },
        loss__value={"loss": [1.0] * 5},
    ),
    silent(
        "one batch short",
        call__accuracy={"loss": [0.5] * 9 + [0.8] * 9},
        call__majority={"loss": [0.8] * 18},
    ),
    silent("it learns the rare class", call__accuracy={"loss": _LEARNS}, call__majority={"loss": [0.9] * 20}),
    silent(
        "weighted: worse than the majority, on purpose",
        call__accuracy={"loss": [0.85] * 40},
        call__majority={"loss": [0.9] * 40},
    ),
    silent(
        "classes of nearly equal size",
        call__accuracy={"loss": [0.6] * 40},
        call__majority={"loss": [0.6] * 40},
    ),
    silent(
        "one class is all there is", call__accuracy={"loss": [1.0] * 40}, call__majority={"loss": [1.0] * 40}
    ),
)
