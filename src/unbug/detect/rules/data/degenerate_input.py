"""Inputs hold no information about what is asked for: all rows alike, or most features constant.

Why it matters: the best that a model can learn from them is the mean of the targets.
How it decides: in each of at least `batches` recorded training batches all rows are the same, with targets
    that differ; or at least `constant` of the features of a small input never vary over `rows` examples; or
    rows that came again had another target in at least `unlike` of the cases in which a target drawn at
    random would have.
When it is wrong: inputs that are constant on purpose (a learned image, a fixed code); one-hot columns that
    are rare in the data.
What to do: look at a batch just in front of the model: integer division, a cast to whole numbers, a mean or a
    mask over the wrong axis, or a wrong column choice are usual.
Source: Breck et al. 2019, "Data Validation for Machine Learning"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    silent,
    threshold,
)
from unbug.detect.dataline import data_line
from unbug.detect.given import Fields, answers, given, learns_from_examples, numbers


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    batches: int = threshold(5, unit="recorded batches", low=2, high=1000, why="one may be zeros for a start")
    constant: float = threshold(
        0.9, unit="of the features", low=0.5, high=1.0, why="images have empty borders"
    )
    rows: int = threshold(200, unit="examples", low=20, high=10**6, why="rare columns show in as many")
    unlike: float = threshold(0.8, unit="of chance", low=0.3, high=1.0, why="noisy labels stay below")
    again: int = threshold(100, unit="rows that came again", low=20, high=10**6, why="fewer may be chance")


@detector(
    "D109",
    "degenerate-input",
    chinese="输入不含信息",
    diagnoses=("degenerate-input",),
    events=("given", "answers", "loss_call", "loop_order"),
    reads=("loss.value",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.92,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    asked = answers(window, "train")
    for step, fields in given(window, "train"):
        said = _alike(fields, asked, step, at) or _constant(fields, at)
        if said is not None:
            yield _finding(window, step, said[0], severity=said[1])
            return
    for step, fields in asked:
        if not int(fields.get("classes") or 0) and not learns_from_examples(window):
            continue
        message = _unlike(fields, at)
        if message is not None:
            yield _finding(window, step, message, severity=Severity.WARNING)
            return


def _finding(window: Window, step: int, message: Bilingual, *, severity: Severity | None) -> Finding:
    return Finding(
        place="data",
        message=message,
        advice=Bilingual(
            "look at a batch just in front of the model, and at each transformation before it",
            "查看送入模型前的一个批次，并检查此前的每一步变换",
        ),
        severity=severity,
        confidence=None if severity is None else 0.85,
        steps=(0, step),
        known_at=step,
        source=data_line(window, "input"),
        evidence=(facts_evidence(window, "data", (0, step), Bilingual("inputs", "输入"), seen=str(message)),),
    )


def _alike(
    fields: Fields, asked: tuple[tuple[int, Fields], ...], step: int, at: Thresholds
) -> tuple[Bilingual, Severity | None] | None:
    looked, alike = int(fields.get("batches_looked_at") or 0), int(fields.get("batches_of_one_row") or 0)
    if looked < at.batches or alike < looked:
        return None
    differ = any(
        known <= step and row[1] > 0 and row[2] > 1
        for known, one in asked
        for row in one.get("batch_means") or ()
    )
    if not differ:
        return None
    text = Bilingual(
        f"in each of {looked} recorded training batches all rows of the input are the same, their "
        "targets are not",
        f"记录的 {looked} 个训练批次中，每个批次的输入行都完全相同，而目标各不相同",
    )
    return text, None


def _constant(fields: Fields, at: Thresholds) -> tuple[Bilingual, Severity | None] | None:
    std, mean = numbers(fields, "std"), numbers(fields, "mean")
    rows = int(fields.get("rows_looked_at") or 0)
    if fields.get("by") != "feature" or len(std) < 2 or rows < at.rows:
        return None
    if int(fields.get("batches_looked_at") or 0) < at.batches:
        return None
    still = std <= 1e-9 * np.maximum(np.abs(mean), 1e-30)
    share = float(still.mean())
    if share < at.constant:
        return None
    text = Bilingual(
        f"{int(still.sum())} of {len(std)} input features are constant over {rows} examples "
        f"(limit {at.constant:.0%})",
        f"{len(std)} 个输入特征中有 {int(still.sum())} 个在 {rows} 个样本上恒定不变（阈值 "
        f"{at.constant:.0%}）",
    )
    return text, None if share == 1 else Severity.WARNING


def _unlike(fields: Fields, at: Thresholds) -> Bilingual | None:
    same, other = int(fields.get("rows_again") or 0), int(fields.get("rows_otherwise") or 0)
    counts = numbers(fields, "counts")
    if same + other < at.again or fields.get("rows_twice") == 0:
        return None  # rows that differ within a batch are examples, which D130 follows
    if int(fields.get("classes") or 0):
        if not counts.sum() > 0:
            return None
        chance = 1 - float(((counts / counts.sum()) ** 2).sum())
    else:
        chance = 1.0  # of numbers hardly two are the same
    share = other / (same + other)
    if chance < 0.2 or share < at.unlike * chance:
        return None
    return Bilingual(
        f"of {same + other} input rows that came again, {share:.0%} had another class than before; "
        "classes drawn "
        f"at random give {chance:.0%}",
        f"再次出现的 {same + other} 个输入行中，{share:.0%} 的目标与之前不同；随机抽取目标时为 {chance:.0%}",
    )


def _given(**fields: Any) -> Event:
    return event("given", step=9, **fields)


_ASKED = event("answers", step=5, classes=2, batch_means=[[0.5, 0.5, 32]])
CASES = (
    fires("rows alike", place="data", events=(_given(batches_looked_at=5, batches_of_one_row=5), _ASKED)),
    fires(
        "constant features",
        severity=Severity.WARNING,
        events=(
            _given(
                by="feature", rows_looked_at=200, batches_looked_at=10, mean=[0.0] * 10, std=[0.0] * 9 + [1.0]
            ),
        ),
    ),
    fires(
        "classes have nothing to do with the rows",
        events=(event("answers", classes=2, rows_again=60, rows_otherwise=40, counts=[50, 50]),),
    ),
    fires(
        "numbers have nothing to do with the rows",
        events=(
            event("answers", classes=0, rows_again=15, rows_otherwise=301),
            event("loss_call", function="mse_loss", file="t.py", line=9, calls=1),
        ),
    ),
    silent(
        "examples with changing labels: D130 speaks",
        events=(
            event("answers", classes=2, rows_again=60, rows_otherwise=40, counts=[50, 50], rows_twice=0),
        ),
    ),
    silent("targets that are made anew (reinforcement)", events=(event("answers", rows_otherwise=301),)),
    silent("rows alike, one target", events=(_given(batches_looked_at=9, batches_of_one_row=9),)),
    silent("one batch that differs", events=(_given(batches_looked_at=9, batches_of_one_row=8), _ASKED)),
    silent(
        "an image with a border",
        events=(
            _given(
                by="feature",
                rows_looked_at=900,
                batches_looked_at=10,
                mean=[0.0] * 10,
                std=[0.0] * 8 + [1.0, 1.0],
            ),
        ),
    ),
    silent(
        "some rows with two labels",
        events=(event("answers", classes=2, rows_again=900, rows_otherwise=90, counts=[50, 50]),),
    ),
)
