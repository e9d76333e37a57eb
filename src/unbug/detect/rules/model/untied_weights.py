"""An embedding and the output layer begin as one matrix and are trained as two.

Why it matters: weights that are meant to be tied are separate objects: a copy was made in place of a
    reference. They drift apart, there are twice as many parameters, and the embedding of a rare word learns
    only where it is read, not where it is predicted.
How it decides: before the first step an embedding and another matrix of the same shape have exactly the
    same values and both are given to the optimizer as parameters of their own.
When it is wrong: an output layer that is meant to start from the embedding and to go its own way.
What to do: assign the parameter itself: `head.weight = embedding.weight`.
Source: Press and Wolf 2017, "Using the Output Embedding to Improve Language Models".
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
    silent,
    threshold,
)
from unbug.detect.wired import layers


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    pairs: int = threshold(1, unit="pairs", low=1, high=100, why="values are not equal by chance")


@detector(
    "M110",
    "untied-weights",
    chinese="应共享的权重已分离",
    diagnoses=("tied-weights-broken",),
    events=("layers",),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    pairs = [one for one in (told.fields.get("twins") if told else None) or () if one.get("equal")]
    apart = [one for one in pairs if one.get("both_trained")]
    if len(apart) < at.pairs:
        return
    for one in apart:
        embedding, other, shared = str(one["embedding"]), str(one["other"]), bool(one.get("one_memory"))
        yield Finding(
            place=other,
            message=Bilingual(
                f"{other} and {embedding} are two parameters over one memory: each step changes it twice",
                f"{other} 与 {embedding} 是共用同一内存的两个参数：每一步都会修改两次",
            )
            if shared
            else Bilingual(
                f"{other} begins as a copy of {embedding} and is trained apart from it",
                f"{other} 以 {embedding} 的副本开始，却单独训练",
            ),
            advice=Bilingual(
                f"assign the parameter itself, not its values: {other} = {embedding}",
                f"直接赋值参数本身，而不是它的数值：{other} = {embedding}",
            ),
            severity=Severity.NOTE if shared else None,
            steps=(0, 0),
            known_at=0,
            evidence=(
                facts_evidence(
                    window,
                    other,
                    (0, 0),
                    Bilingual("equal matrices at the start", "开始时相等的矩阵"),
                    **_facts(one),
                ),
            ),
        )


def _facts(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "place"}


def _told(**fields: Any) -> Event:
    pair = {"embedding": "emb.weight", "other": "head.weight", "equal": True, "both_trained": True}
    return event("layers", twins=[pair | {"one_memory": False} | fields])


CASES = (
    fires("a copy", place="head.weight", severity=Severity.WARNING, events=(_told(),)),
    fires("one memory", severity=Severity.NOTE, events=(_told(one_memory=True),)),
    silent("never the same", events=(_told(equal=False),)),
    silent("the embedding stays as it is", events=(_told(both_trained=False),)),
    silent("tied", events=(event("layers", twins=[]),)),
)
