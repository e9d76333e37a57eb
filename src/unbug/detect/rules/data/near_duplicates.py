"""Examples of the evaluation are near copies of examples of the training.

Why it matters: the evaluation measures memory. Copies come of augmenting, windowing or oversampling before
    the split, or of several records of one person or one day on both sides.
How it decides: a probe at the end of the program looks for each kept example of the evaluation at its nearest
    and its tenth nearest example of training. A near copy is many times nearer than the tenth. At least
    `share` of them are, and `least` examples, while at most a `part`-th as many lie in between, as they
    would where the data is dense; and inside training at most a `part`-th as many are copies, or `both` of
    the evaluation. Exact copies are not counted here.
When it is wrong: data with few columns; an evaluation on the training set itself, where training adds noise
    to each batch anew (left out where nearly all examples are copies and no row comes again).
What to do: split first, by person, day or recording; augment and cut windows behind the split.
Source: Kaufman et al. 2012, "Leakage in Data Mining", doi 10.1145/2382577.2382579; all numbers are ours.
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


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.1, unit="fraction of examples", low=0.01, high=1.0, why="chance gives none")
    least: int = threshold(15, unit="examples", low=5, high=10_000, why="a handful may be chance")
    part: float = threshold(
        5.0, unit="times", low=1.5, high=100, why="data with copies of its own has them too"
    )
    both: float = threshold(
        0.3, unit="fraction of examples", low=0.05, high=1.0, why="copies were made before the split"
    )
    columns: int = threshold(4, unit="columns", low=2, high=100, why="in fewer, examples lie near by chance")


@detector(
    "D122",
    "near-duplicates-in-evaluation",
    chinese="评估集含训练样本的近似副本",
    diagnoses=("train-test-leak",),
    events=("probe",),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "neighbours"):
        near, inside = float(found.get("near_share") or 0), float(found.get("near_share_inside") or 0)
        middle = float(found.get("middle_share") or 0)
        count = round(near * int(found.get("evaluated_rows") or 0))
        if near < at.share or count < at.least or middle * at.part > near:
            continue
        if int(found.get("distinct_columns") or 0) < at.columns:
            continue
        if near < at.part * inside and near < at.both:
            continue
        if near > 0.9 and float(found.get("again") or 0) < 0.05:
            continue
        yield Finding(
            place="data",
            message=Bilingual(
                f"{near:.0%} of the evaluation's examples are near copies of training examples"
                f" ({inside:.0%} inside training)",
                f"评估样本中有 {near:.0%} 是训练样本的近似副本（训练集内部为 {inside:.0%}）",
            ),
            advice=Bilingual(
                "split first, by person, day or recording; augment and cut windows afterwards",
                "先按人、按天或按录制划分，之后再做增强和切窗",
            ),
            steps=(0, step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("distance to the nearest training example", "到最近训练样本的距离"),
                    evaluated_examples=found.get("evaluated_rows"),
                    training_examples=found.get("rows"),
                    near_share=round(near, 4),
                    near_share_inside_training=round(inside, 4),
                    ratio_of_median_distances=found.get("ratio"),
                ),
            ),
        )


def _result(near: float, inside: float = 0.0, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "rows": 800, "evaluated_rows": 200, "distinct_columns": 20, "near_share": near,
        "near_share_inside": inside, "middle_share": 0.0, "equal_share": 0.0, "ratio": 0.9, "again": 0.5,
    }  # fmt: skip
    return event("probe", step=99, probe="neighbours", **{**given, **fields})


CASES = (
    fires("half of them", place="data", events=(_result(0.5),)),
    fires("exactly at the thresholds", events=(_result(0.1, 0.02),)),
    fires("all of them, and rows come again", events=(_result(1.0),)),
    silent("drawn alike", events=(_result(0.0),)),
    silent("just under the share", events=(_result(0.099),)),
    fires("copies were made before the split", events=(_result(0.6, 0.6, middle_share=0.02),)),
    silent("training has as many inside, of a few", events=(_result(0.2, 0.1),)),
    silent("dense data: many lie between", events=(_result(0.4, 0.4, middle_share=0.4),)),
    silent("two columns", events=(_result(0.5, distinct_columns=2),)),
    silent("an evaluation on the training set, noise is added anew", events=(_result(1.0, again=0.0),)),
    silent("exact copies are another rule's", events=(_result(0.0, equal_share=1.0),)),
    silent("a handful", events=(_result(0.2, evaluated_rows=60),)),
)
