"""Nothing that can be seen of the inputs tells anything of their targets.

Why it matters: targets that belong to other rows cannot be learned, only memorised.
How it decides: a probe at the end of the program predicts the targets of kept rows from the other rows, in
    several views (numbers, words, what an untrained copy of the network makes of them), and compares that
    with the same targets in other orders. Below `errors` deviations of chance nothing is told. It is an
    error where the evaluation's rows tell their own targets by `apart` or more, and the trained model does
    not know these (below `learned`: else part of the labels is right, see D132). Without that it is a
    warning if the model itself knows the targets of its evaluation no better than those of other rows (below
    `own`), or, where none is known for sure, does not even know those of its training, rows come again and
    their columns are related; else a note.
When it is wrong: tasks that only a trained network can see, such as parities, of which the model learned
    nothing for another reason; a program that trains on noise by design.
What to do: shuffle, sort and filter inputs and targets together, with one index; look at a few pairs by eye.
Source: Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", section 7.10, and
    tests by permutation; all numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Probed,
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
    errors: float = threshold(
        3.0, unit="deviations of chance", low=1, high=10, why="healthy: 6.8 and more, chance to 2.7"
    )
    apart: float = threshold(5.0, unit="deviations of chance", low=3, high=100, why="chance reaches 2.7")
    learned: float = threshold(
        6.0, unit="deviations of chance", low=3, high=100, why="with part of the labels right: 14 and more"
    )
    own: float = threshold(
        4.0, unit="deviations of chance", low=1, high=20, why="the model learned something"
    )
    rows: int = threshold(60, unit="examples", low=40, high=384, why="healthy rows of 47 had 6.9")
    many: int = threshold(80, unit="examples", low=40, high=384, why="without an evaluation to compare with")
    structure: float = threshold(
        0.7, unit="of the columns", low=0.0, high=1.0, why="made-up noise has 1, real data 0.1 to 0.5"
    )


@detector(
    "D131",
    "unrelated-targets",
    chinese="目标与输入无关",
    diagnoses=("misaligned-labels",),
    events=("probe",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.93,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "targets"):
        errors, rows = found.get("errors"), int(found.get("rows") or 0)
        if errors is None or errors >= at.errors or rows < at.rows or (found.get("pure_batches") or 0) > 0.5:
            continue
        how = _verdict(found, rows, at)
        if how is None:
            continue
        severity, confidence, what = how
        yield Finding(
            place="data",
            severity=severity,
            confidence=confidence,
            diagnoses=None if severity is None else ("misaligned-labels", "label-noise"),
            message=Bilingual(
                f"the inputs of {rows} training examples tell nothing of their targets: {errors:.1f} "
                "deviations above targets in any other order",
                f"{rows} 个训练样本的输入与其目标毫无关系：仅比任意打乱的目标高 {errors:.1f} 个标准差",
            )
            + what,
            advice=Bilingual(
                "shuffle, sort, shift and filter inputs and targets together, with one index; look "
                "at some pairs",
                "用同一个索引一起打乱、排序、移位和筛选输入与目标；亲眼查看几对样本",
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "target"),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("what rows tell of their targets", "输入对目标的预测能力"),
                    **{name: found[name] for name in _SHOWN if found.get(name) is not None},
                ),
            ),
        )


_SHOWN = (
    "rows", "views", "errors", "by_chance", "correlation", "accuracy", "majority", "own", "structure",
    "evaluated_rows", "evaluated_errors", "evaluated_accuracy", "transfer", "transfer_errors",
    "evaluated_own",
)  # fmt: skip


def _verdict(
    found: Probed, rows: int, at: Thresholds
) -> tuple[Severity | None, float | None, Bilingual] | None:
    """Severity and confidence (None: as declared), and what else was found; None if nothing is to be said."""
    other, own = found.get("evaluated_errors"), found.get("evaluated_own")
    if other is not None and other >= at.apart and (own is None or own < at.learned):
        return (
            None,
            None,
            Bilingual(
                f"; those of the evaluation tell theirs ({other:.0f} deviations)",
                f"；而评估集的输入能预测其目标（{other:.0f} 个标准差）",
            ),
        )
    if own is not None and own >= at.own:
        return None
    if own is not None and found.get("evaluated_told_by") != "names":
        said = Bilingual(
            f"; nor does the trained model know the evaluation's ({own:.1f} deviations)",
            f"；训练后的模型也不了解评估集的目标（{own:.1f} 个标准差）",
        )
        return Severity.WARNING if rows >= at.many else Severity.NOTE, 0.85, said
    trained = found.get("own")
    came = int(found.get("met_again") or 0) + int(found.get("met_otherwise") or 0)
    plain = (found.get("structure") or 0.0) > at.structure or not came or rows < at.many
    if trained is None or trained >= at.own or plain:
        return Severity.NOTE, 0.6, Bilingual("", "")
    said = Bilingual(
        f"; after all training the model does not know them either ({trained:.1f} deviations)",
        f"；训练之后模型依然不了解它们（{trained:.1f} 个标准差）",
    )
    return Severity.WARNING, 0.8, said


def _result(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "rows": 384, "views": 2, "errors": 1.0, "by_chance": 2.3, "met_again": 300,
        "pure_batches": 0.0, "structure": 0.3,
    }  # fmt: skip
    return event("probe", step=99, probe="targets", **{**given, **fields})


_EVALUATED: dict[str, Any] = {"evaluated_rows": 200, "evaluated_errors": 20.0, "evaluated_own": 1.3}
CASES = (
    fires("the evaluation's tell", place="data", severity=Severity.ERROR, events=(_result(**_EVALUATED),)),
    fires("a model that was not asked", severity=Severity.ERROR, events=(_result(evaluated_errors=9.0),)),
    fires("nothing generalises", severity=Severity.WARNING, events=(_result(own=30.0, evaluated_own=0.5),)),
    fires("nothing learned", severity=Severity.WARNING, events=(_result(own=1.0),)),
    fires("learned by heart, or hard: a note", severity=Severity.NOTE, events=(_result(own=30.0),)),
    fires("noise by design: a note", severity=Severity.NOTE, events=(_result(own=1.0, structure=0.95),)),
    fires("rows never come again: a note", severity=Severity.NOTE, events=(_result(own=1.0, met_again=0),)),
    fires(
        "a name may be wrong",
        severity=Severity.NOTE,
        events=(_result(own=30.0, evaluated_own=0.5, evaluated_told_by="names"),),
    ),
    silent("related", events=(_result(errors=3.0, **_EVALUATED),)),
    silent("a hard task that the model learned", events=(_result(own=30.0, evaluated_own=9.0),)),
    silent("labels wrong in part", events=(_result(**{**_EVALUATED, "evaluated_own": 15.0}),)),
    silent("few rows", events=(_result(rows=59, **_EVALUATED),)),
    silent("batches of one class", events=(_result(pure_batches=0.6, **_EVALUATED),)),
    silent("not possible", events=(event("probe", probe="targets", possible=False, why_not="one batch"),)),
)
