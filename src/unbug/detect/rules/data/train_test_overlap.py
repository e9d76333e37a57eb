"""Examples of the evaluation were trained on.

Why it matters: the evaluation measures memory; on new data the model is worse than it says.
How it decides: rows are the same, bit for bit. Either batches of an evaluation hold examples of the training
    and others, with at least `share` and at most 98 % of the training's in all; or one set of fewer than
    `part` as many examples as the training has is evaluated, all of which were trained on, and nothing else
    is evaluated. Passes over the whole training set, over batches just trained on, or beside a set of new
    examples are not told; nor are inputs of few values in short rows, which are the same by chance.
    Where all of them were trained on, and the line that they come from does not call them validation or test,
    it may be training accuracy: a note.
When it is wrong: a fixed part of the training set that is evaluated on purpose, under such a name.
What to do: split before anything is repeated or drawn with replacement, by what belongs together.
Source: Kapoor and Narayanan 2023, "Leakage and the reproducibility crisis", type L1; the numbers are ours.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2, prod

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Source,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line
from unbug.detect.given import Fields, given

_NEW = re.compile(r"(?i)val(?!ue)|test|eval|held|holdout|unseen|_te\b|\b[xy]te\b|_dev\b")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.05, unit="of the evaluated rows", low=0.001, high=0.9, why="a few doubles are usual"
    )
    rows: int = threshold(20, unit="rows", low=2, high=10**6, why="fewer may be examples to look at")
    part: float = threshold(
        0.6, unit="of the training's rows", low=0.05, high=1.0, why="more is the training set"
    )
    values: int = threshold(
        50, unit="different values", low=2, high=10**4, why="fewer make equal rows by chance"
    )
    few_values: int = threshold(
        8, unit="different values", low=2, high=10**4, why="below, rows often stand for a few states"
    )
    bits: float = threshold(
        40.0, unit="bits", low=8, high=10**6, why="sets of a million rows have no two alike by chance"
    )
    bits_of_all: float = threshold(
        24.0, unit="bits", low=8, high=10**6, why="that all rows are in both by chance takes a small space"
    )


@detector(
    "D112",
    "train-test-overlap",
    chinese="训练与评估样本重叠",
    diagnoses=("train-test-leak",),
    events=("given", "source"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    trained: dict[str, Fields] = {}
    told = sorted(
        [(step, 0, fields) for step, fields in given(window, "train")]
        + [(step, 1, fields) for step, fields in given(window, "eval")],
        key=lambda one: one[:2],
    )
    for step, evaluates, fields in told:
        name = f"{fields.get('module')} {fields.get('root')}"
        if not evaluates:
            trained[name] = fields
            continue
        base = trained.get(name)
        if base is None or base.get("shape") != fields.get("shape"):
            continue
        inside, outside = (
            int(fields.get("rows_in_training") or 0),
            int(fields.get("rows_not_in_training") or 0),
        )
        if not _counts(fields, base, inside, outside, at):
            continue
        source = data_line(window, "evaluation") or data_line(window, "input")
        yield Finding(
            place="data",
            severity=None if outside or _claims(window, source) else Severity.NOTE,
            message=Bilingual(
                f"{inside} of {inside + outside} evaluated examples were trained on",
                f"被评估的 {inside + outside} 个样本中有 {inside} 个参与过训练",
            ),
            advice=Bilingual(
                "split the data before examples are repeated, augmented or drawn with replacement",
                "在重复、增强或有放回抽样之前划分数据",
            ),
            steps=(0, step),
            known_at=step,
            source=source,
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("evaluated examples", "被评估的样本"),
                    in_training=inside,
                    new=outside,
                    batches_partly_in_training=int(fields.get("batches_partly_in_training") or 0),
                ),
            ),
        )
        return


def _claims(window: Window, source: Source | None) -> bool:
    """Whether the line that gives the evaluation its data calls them new."""
    for one in window.events("source"):
        lines = str(one.fields.get("text") or "").splitlines()
        if source is not None and one.fields.get("file") == source.file and source.line <= len(lines):
            return _NEW.search(lines[source.line - 1]) is not None
    return False


def _counts(fields: Fields, base: Fields, inside: int, outside: int, at: Thresholds) -> bool:
    """Whether the overlap is one that should not be."""
    trained, whole = int(base.get("distinct_rows") or 0), inside + outside
    bits = at.bits if outside else at.bits_of_all
    if inside < at.rows or not _tells_apart(fields, at, bits) or whole >= trained:
        return False
    known = int(base.get("batches") or 0) == int(base.get("batches_looked_at") or 0)
    if not known and int(base.get("rows_looked_at") or 0) < 3 * trained:
        return False  # what of the training was not looked at may be what is evaluated
    partly, none = (
        int(fields.get("batches_partly_in_training") or 0),
        int(fields.get("batches_not_in_training") or 0),
    )
    all_in = int(fields.get("batches_in_training") or 0)
    if partly * 2 >= partly + none + all_in:
        return at.share * whole <= inside <= 0.98 * whole
    steps = int(fields.get("steps_evaluated_at") or 0)
    same_set = int(fields.get("rows_looked_at") or 0) >= 0.9 * whole * max(steps, 1)
    return not outside and (steps >= 2 or inside >= 50) and same_set and whole <= at.part * trained


def _tells_apart(fields: Fields, at: Thresholds, bits: float) -> bool:
    """Whether rows are too rich to be the same by chance: numbers of many values, or long rows of some."""
    values, width = int(fields.get("distinct_values") or 0), prod(fields.get("shape") or (0,))
    counts = fields.get("token_counts")
    if counts and not values:
        return int(fields.get("token_width") or 0) * _entropy(counts) >= bits
    if values >= at.values or values < at.few_values:
        return values >= at.values
    return values > 1 and width * log2(values) >= bits


def _entropy(counts: Sequence[int]) -> float:
    """Bits that one token tells, at most: blanks at the end of short texts tell little."""
    total = sum(counts)
    return -sum(count / total * log2(count / total) for count in counts if count) if total else 0.0


def _sides(trained: int, inside: int, outside: int, **more: object) -> tuple[Event, ...]:
    fields: dict[str, object] = {
        "module": "Net", "shape": [8], "distinct_values": 900, "rows_in_training": inside,
        "rows_not_in_training": outside, "batches_partly_in_training": 0, "batches_not_in_training": 0,
        "batches_in_training": 0, "steps_evaluated_at": 3, "rows_looked_at": 3 * (inside + outside),
    }  # fmt: skip
    return (
        event("given", step=20, module="Net", shape=[8], distinct_rows=trained, rows_looked_at=3 * trained),
        event("given", step=21, phase=Phase.EVAL, **(fields | more)),
    )


CASES = (
    fires("a part of each batch", place="data", events=_sides(800, 60, 140, batches_partly_in_training=4)),
    fires("all of a smaller set", events=_sides(800, 200, 0, batches_in_training=4)),
    silent("the whole training set", events=_sides(800, 800, 0, batches_in_training=4)),
    silent("all data at once", events=_sides(800, 800, 200, batches_partly_in_training=1)),
    silent(
        "training accuracy beside a validation",
        events=_sides(800, 200, 200, batches_in_training=2, batches_not_in_training=2),
    ),
    silent("a few doubles", events=_sides(800, 9, 191, batches_partly_in_training=4)),
    silent(
        "the batch just trained on",
        events=_sides(800, 400, 0, batches_in_training=12, rows_looked_at=400, steps_evaluated_at=12),
    ),
    silent(
        "too little of the training was looked at",
        events=(
            event(
                "given",
                step=20,
                module="Net",
                shape=[8],
                distinct_rows=400,
                rows_looked_at=400,
                batches=90,
                batches_looked_at=20,
            ),
            _sides(800, 60, 140, batches_partly_in_training=4)[1],
        ),
    ),
    fires(
        "long rows of tokens",
        events=_sides(
            800,
            60,
            140,
            batches_partly_in_training=4,
            distinct_values=0,
            token_counts=[9] * 20,
            token_width=12,
        ),
    ),
    silent(
        "short rows of tokens",
        events=_sides(
            800,
            60,
            140,
            batches_partly_in_training=4,
            distinct_values=0,
            token_counts=[9] * 20,
            token_width=6,
        ),
    ),
    silent("few values", events=_sides(800, 60, 140, batches_partly_in_training=4, distinct_values=2)),
    silent("nothing in common", events=_sides(800, 0, 200, batches_not_in_training=4)),
)
