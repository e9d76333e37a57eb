"""The labels have nothing to do with the inputs that they come with.

Why it matters: they belong to other rows: one of the two was shuffled, sorted, filtered or augmented alone.
    There is nothing to learn; what falls of the training loss is memory.
How it decides: a probe at the end of the program compares the label of each kept example with that of its
    nearest neighbour. In training they agree no more often than chance, by less than `errors` standard
    errors. It is an error where the evaluation's own labels agree with each other by `apart` more than
    chance, yet not with the nearest examples of training. Without that it is a warning if the inputs have a
    structure (`structure` or less of the independent columns that unrelated ones have), rows come again,
    and the model, after all training, is hardly better than the most frequent class; else a note.
    Silent where D131 can be asked, which compares with chance in more views.
When it is wrong: inputs whose distance says nothing about their class (parities, raw waveforms), of which
    the model learnt nothing for another reason; actions drawn at random.
What to do: shuffle, sort and filter inputs and labels together, with one index; look at a few pairs by eye.
Source: Cover and Hart 1967, "Nearest neighbor pattern classification", for the idea; all numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
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


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    errors: float = threshold(3.0, unit="standard errors", low=1, high=10, why="one in a thousand by chance")
    apart: float = threshold(0.25, unit="fraction", low=0.05, high=1.0, why="labels that follow the inputs")
    structure: float = threshold(
        0.7,
        unit="fraction of the columns",
        low=0.0,
        high=1.0,
        why="made-up noise has 1, real data 0.1 to 0.5",
    )
    rows: int = threshold(150, unit="examples", low=50, high=100_000, why="chance is known to 0.08 or better")
    better: float = threshold(
        0.1, unit="fraction", low=0.0, high=1.0, why="a model that learnt anything is better than that"
    )
    again: float = threshold(
        0.02, unit="fraction of rows", low=0.0, high=1.0, why="a fixed data set; actions never come again"
    )


@detector(
    "D120",
    "misaligned-labels",
    chinese="标签与输入错位",
    diagnoses=("misaligned-labels",),
    events=("probe",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    if any(found.get("errors") is not None for _, found in probed(window, "targets")):
        return  # D131 speaks, from more views
    for step, found in probed(window, "labels"):
        rows, chance = int(found.get("rows") or 0), found.get("chance")
        if rows < at.rows or (found.get("pure_batches") or 0) > 0.5:
            continue
        if chance is None:
            strays = _numbers_stray(found, rows, at)
        else:
            strays = found["agreement"] - chance < at.errors * sqrt(chance * (1 - chance) / rows)
            strays = strays and int(found.get("classes") or 0) >= 2 and chance < 0.9
        if not strays:
            continue
        sure = chance is not None and _evaluation_differs(found, at)
        if not sure and _learnt(found, at):
            continue
        plain = found.get("structure", 1.0) > at.structure or (found.get("again") or 0) < at.again
        agreed = (
            Bilingual(
                f"neighbours agree in {found['agreement']:.0%} of {rows} examples, by chance {chance:.0%}",
                f"在 {rows} 个样本中，最近邻标签一致的占 {found['agreement']:.0%}，随机水平为 {chance:.0%}",
            )
            if chance is not None
            else Bilingual(
                f"the targets of neighbours correlate by {found['correlation']:.2f} in {rows} examples",
                f"在 {rows} 个样本中，近邻目标的相关系数为 {found['correlation']:.2f}",
            )
        )
        while_there = (
            Bilingual(
                f"; in the evaluation {found['evaluated_agreement']:.0%}",
                f"；评估集中为 {found['evaluated_agreement']:.0%}",
            )
            if sure
            else ""
        )
        yield Finding(
            place="data",
            severity=None if sure else Severity.NOTE if plain else Severity.WARNING,
            confidence=None if sure else 0.8,
            diagnoses=None if sure else ("misaligned-labels", "label-noise"),
            message=Bilingual(
                "the training labels have nothing to do with their inputs: ", "训练标签与其输入无关："
            )
            + agreed
            + while_there,
            advice=Bilingual(
                "shuffle, sort and filter inputs and labels together, with one index",
                "用同一个索引一起打乱、排序和筛选输入与标签",
            ),
            steps=(0, step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("labels of nearest neighbours", "最近邻的标签"),
                    **{name: found[name] for name in _SHOWN if found.get(name) is not None},
                ),
            ),
        )


_SHOWN = (
    "rows", "classes", "chance", "agreement", "correlation", "model_accuracy", "model_explains", "majority",
    "structure", "evaluated_rows", "evaluated_agreement", "evaluated_by_training", "evaluated_chance",
)  # fmt: skip


def _numbers_stray(found: Probed, rows: int, at: Thresholds) -> bool:
    correlation = found.get("correlation")
    return correlation is not None and correlation < at.errors / sqrt(rows)


def _evaluation_differs(found: Probed, at: Thresholds) -> bool:
    chance, agreement = found.get("evaluated_chance"), found.get("evaluated_agreement")
    across, apart = found.get("evaluated_by_training"), found.get("evaluated_apart")
    if chance is None or agreement is None or across is None or not apart or not found.get("apart"):
        return False
    alike = 0.4 <= found["apart"] / apart <= 2.5
    return bool(alike and agreement - chance >= at.apart and across - chance < at.apart / 3)


def _learnt(found: Probed, at: Thresholds) -> bool:
    """Whether the model is better than a constant; without its accuracy nothing is said."""
    explained = found.get("model_explains")
    if found.get("chance") is None:
        return explained is None or bool(explained > at.better)
    seen = [
        found[name] for name in ("model_accuracy", "evaluated_model_accuracy") if found.get(name) is not None
    ]
    majority = max(found.get("majority") or 0.0, found.get("evaluated_majority") or 0.0)
    return not seen or max(seen) > majority + at.better


def _result(agreement: float, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "rows": 500, "classes": 10, "chance": 0.1, "agreement": agreement, "majority": 0.12,
        "model_accuracy": 0.13, "structure": 0.3, "again": 0.5, "pure_batches": 0.0, "apart": 4.0,
    }  # fmt: skip
    return event("probe", step=99, probe="labels", **{**given, **fields})


_EVALUATED: dict[str, Any] = {
    "evaluated_chance": 0.1, "evaluated_agreement": 0.95, "evaluated_by_training": 0.1,
    "evaluated_apart": 4.5,
    "evaluated_majority": 0.12, "evaluated_model_accuracy": 0.1,
}  # fmt: skip
CASES = (
    fires("the evaluation's labels are right", severity=Severity.ERROR, events=(_result(0.1, **_EVALUATED),)),
    fires(
        "memorised nevertheless",
        severity=Severity.ERROR,
        events=(_result(0.1, model_accuracy=1.0, **_EVALUATED),),
    ),
    fires("no evaluation, and nothing learnt", severity=Severity.WARNING, events=(_result(0.1),)),
    fires("columns of noise: a note", severity=Severity.NOTE, events=(_result(0.1, structure=0.98),)),
    fires("actions that never come again: a note", severity=Severity.NOTE, events=(_result(0.1, again=0.0),)),
    fires(
        "numbers",
        severity=Severity.WARNING,
        events=(_result(0.1, chance=None, correlation=0.05, model_explains=0.0),),
    ),
    silent("neighbours agree", events=(_result(0.9),)),
    silent("a hard task of which the model learnt something", events=(_result(0.1, model_accuracy=0.3),)),
    silent("just above chance", events=(_result(0.1405),)),
    silent("too few examples", events=(_result(0.1, rows=149),)),
    silent("a batch of real ones, a batch of made ones", events=(_result(0.1, pure_batches=1.0),)),
    silent("nearly all of one class", events=(_result(0.95, chance=0.95, classes=2),)),
    silent(
        "numbers that neighbours share",
        events=(_result(0.1, chance=None, correlation=0.4, model_explains=0.0),),
    ),
    silent(
        "numbers that the model explains",
        events=(_result(0.1, chance=None, correlation=0.0, model_explains=0.5),),
    ),
    silent(
        "no probe was possible", events=(event("probe", probe="labels", possible=False, why_not="tokens"),)
    ),
)
