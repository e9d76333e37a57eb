"""Training labels are wrong in part: they go with their inputs far less than those of the evaluation do.

Why it matters: the model learns wrong labels by heart in the end; until then they slow everything down.
How it decides: a probe at the end of the program predicts the targets of each kept row from the other rows,
    of the training and of the evaluation apart. The evaluation's are told by `apart` deviations of chance or
    more, from fewer or as many rows; those of training by at most `part` of their correlation. The trained
    model knows the targets of its evaluation (`learned`), so that a part of the labels was right: else D131
    speaks. No class of training has `majority` of the rows.
When it is wrong: training inputs that were made far harder on purpose, by strong augmentation.
What to do: look at training examples whose neighbours all have another label; correct or drop them.
Source: Northcutt et al. 2021, "Confident Learning", arXiv:1911.00068, for predictions of left-out rows as a
    judge of labels; all numbers are ours.
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
    probed,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    apart: float = threshold(5.0, unit="deviations of chance", low=3, high=100, why="beyond any doubt")
    part: float = threshold(
        0.6, unit="of the evaluation's correlation", low=0.1, high=0.95, why="healthy: 0.9 and more"
    )
    learned: float = threshold(6.0, unit="deviations of chance", low=3, high=100, why="as for D131")
    majority: float = threshold(0.75, unit="of the rows", low=0.3, high=1.0, why="rare classes tell little")
    rows: int = threshold(80, unit="examples", low=40, high=384, why="shares are known to 0.06")


@detector(
    "D132",
    "labels-wrong-in-part",
    chinese="部分训练标签有误",
    diagnoses=("label-noise", "misaligned-labels"),
    events=("probe",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "targets"):
        own, other, clear, learned = (found.get(name) for name in _READ)
        if own is None or other is None or clear is None or learned is None:
            continue
        rows, beside = int(found.get("rows") or 0), int(found.get("evaluated_rows") or 0)
        if clear < at.apart or learned < at.learned or own > at.part * other or rows < max(at.rows, beside):
            continue
        if (found.get("majority") or 0.0) >= at.majority or (found.get("pure_batches") or 0) > 0.5:
            continue
        yield Finding(
            place="data",
            message=Bilingual(
                f"training targets are wrong in part: predicted from other rows they correlate by {own:.2f}, "
                f"those of the evaluation by {other:.2f}",
                f"训练目标部分有误：用其他样本预测时相关系数仅为 {own:.2f}，评估集则为 {other:.2f}",
            ),
            advice=Bilingual(
                "look at examples whose neighbours all have another label; correct or drop them",
                "查看邻居标签全都不同的样本；改正或删去它们",
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "target"),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("what training rows tell", "训练样本的预测能力"),
                    **{name: found[name] for name in _SHOWN if found.get(name) is not None},
                ),
            ),
        )


_READ = ("correlation", "evaluated_correlation", "evaluated_errors", "evaluated_own")
_SHOWN = (
    "rows", "classes", "majority", "errors", "correlation", "accuracy", "own", "evaluated_rows",
    "evaluated_errors", "evaluated_correlation", "evaluated_accuracy", "evaluated_own", "transfer",
)  # fmt: skip


def _result(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "rows": 384, "correlation": 0.3, "errors": 5.0, "evaluated_rows": 200,
        "evaluated_correlation": 0.9, "evaluated_errors": 15.0, "evaluated_own": 14.0, "majority": 0.3,
    }  # fmt: skip
    return event("probe", step=99, probe="targets", **{**given, **fields})


CASES = (
    fires("the evaluation's go with their inputs", place="data", events=(_result(),)),
    fires("just so", events=(_result(correlation=0.53),)),
    silent("nearly alike", events=(_result(correlation=0.55),)),
    silent("nothing learned: misaligned", events=(_result(evaluated_own=2.0),)),
    silent("a vague evaluation", events=(_result(evaluated_errors=4.9),)),
    silent("few examples", events=(_result(rows=79, evaluated_rows=60),)),
    silent("fewer examples than the evaluation has", events=(_result(rows=199),)),
    silent("nearly all of one class", events=(_result(majority=0.8),)),
    silent("no evaluation", events=(_result(evaluated_correlation=None),)),
    silent("not possible", events=(event("probe", probe="targets", possible=False, why_not="one batch"),)),
)
