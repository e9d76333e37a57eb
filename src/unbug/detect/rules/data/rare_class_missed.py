"""A rare class is never found, while the loss does not weigh classes.

Why it matters: the frequent class decides accuracy and loss; the class that is sought is always missed.
How it decides: at the end of the training, the most frequent class has at least `majority` of the labels, and
    of at least `examples` recent examples of rarer classes at most `recall` were recognised, in the loss
    calls of an evaluation if there were any, else in those of the training. Losses with class weights are
    left out.
When it is wrong: a training that was ended before it had learned anything.
What to do: weigh the classes in the loss (`pos_weight`, `weight`), draw the rare ones more often
    (`WeightedRandomSampler`), and measure recall in place of accuracy.
Source: He and Garcia 2009, "Learning from Imbalanced Data"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.given import Fields, answers, numbers, told_at


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    majority: float = threshold(0.8, unit="of the labels", low=0.5, high=1.0, why="as for L104")
    examples: int = threshold(10, unit="examples", low=3, high=10**6, why="fewer may be missed by chance")
    recall: float = threshold(0.05, unit="of them", low=0.0, high=0.5, why="a model that learns is above")
    steps: int = threshold(30, unit="steps", low=5, high=10**6, why="fewer are no training")


@detector(
    "D110",
    "rare-class-missed",
    chinese="从不识别稀有类别",
    diagnoses=("class-imbalance",),
    events=("answers",),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    if window.steps < at.steps:
        return
    trained = _last(answers(window, "train"))
    if not trained or any(fields.get("weighted") for _, fields in trained):
        return
    for step, fields in (*_last(answers(window, "eval")), *trained):
        found = _missed(fields, at)
        if found is None:
            continue
        share, rare, right = found
        yield Finding(
            place="data",
            message=Bilingual(
                f"the most frequent class has {share:.1%} of the labels; of the last {rare} examples of "
                "the others "
                f"{right} were recognised",
                f"最常见的类别占标签的 {share:.1%}；最近 {rare} 个其他类别的样本中只识别出 {right} 个",
            ),
            advice=Bilingual(
                "weigh the classes in the loss (pos_weight, weight) or draw the rare ones more often, "
                "and measure "
                "recall",
                "在损失中为类别加权（pos_weight、weight）或更多地采样稀有类别，并衡量召回率",
            ),
            steps=(0, max(step, 0)),
            known_at=max(step, 0),
            source=told_at(trained[0][1]),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, max(step, 0)),
                    Bilingual("labels and predictions by class", "各类别的标签与预测"),
                    wanted=list(fields.get("wanted") or ())[:64],
                    said=list(fields.get("said") or ())[:64],
                    right=list(fields.get("right") or ())[:64],
                ),
            ),
        )
        return


def _last(told: tuple[tuple[int, Fields], ...]) -> tuple[tuple[int, Fields], ...]:
    """The last word on each line."""
    by_line = {(fields.get("file"), fields.get("line")): (step, fields) for step, fields in told}
    return tuple(by_line.values())


def _missed(fields: Fields, at: Thresholds) -> tuple[float, int, int] | None:
    counts, wanted, right = numbers(fields, "counts"), numbers(fields, "wanted"), numbers(fields, "right")
    if len(counts) < 2 or not counts.sum() > 0 or not (len(counts) == len(wanted) == len(right)):
        return None
    most = int(np.argmax(counts))
    share = float(counts[most] / counts.sum())
    rare, found = int(wanted.sum() - wanted[most]), int(right.sum() - right[most])
    if share < at.majority or share == 1 or rare < at.examples or found > at.recall * rare:
        return None
    return share, rare, found


def _told(counts: list[int], wanted: list[int], right: list[int], *, weighted: bool = False) -> Event:
    return event(
        "answers", step=40, phase=Phase.TRAIN, classes=len(counts), counts=counts, wanted=wanted, right=right,
        said=wanted, weighted=weighted, file="t.py", line=9,
    )  # fmt: skip


CASES = (
    fires("none found", place="data", events=(_told([980, 20], [480, 10], [480, 0]),)),
    fires("rarer of three", events=(_told([900, 60, 40], [450, 30, 20], [450, 1, 1]),)),
    silent("some found", events=(_told([980, 20], [480, 10], [480, 1]),)),
    silent("too few rare examples", events=(_told([980, 20], [480, 9], [480, 0]),)),
    silent("weighted", events=(_told([980, 20], [480, 10], [480, 0], weighted=True),)),
    silent("classes of one size", events=(_told([500, 500], [200, 200], [200, 0]),)),
    silent("one class", events=(_told([500, 0], [200, 0], [200, 0]),)),
)
