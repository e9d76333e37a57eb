"""Dropout takes almost everything away.

Why it matters: of a layer's values so few are left that each step trains a tiny random part of the network;
    the signal that arrives is mostly noise, and training is slow or stuck.
How it decides: a dropout layer between the weights has a rate of at least `rate`; or in the graph values
    are multiplied by zero in that share and by its inverse otherwise, as the function `dropout` does.
When it is wrong: dropout on sparse or highly redundant values, on purpose.
What to do: use a rate from 0.1 to 0.5. Note that `p` is the share that is dropped, not the one that is
    kept.
Source: Srivastava et al. 2014, "Dropout", section 7.3 (0.5 is close to optimal for hidden units); the rate
    is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
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
from unbug.detect.wired import layers, number, wired


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rate: float = threshold(0.75, unit="fraction dropped", low=0.1, high=1.0, why="recipes end at 0.7")


@detector(
    "M115",
    "strong-dropout",
    chinese="dropout 过强",
    diagnoses=("dropout-too-strong",),
    events=("layers", "wiring"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = layers(window)
    named = list((told.fields.get("layers") if told else None) or ())
    rates: set[float] = set()
    for one in named:
        rate = number(one.get("p"), 0)
        if "Dropout" in str(one.get("class")) and rate >= at.rate:
            rates.add(round(rate, 3))
            yield _finding(window, at, 0, str(one["place"]), rate, None, dict(one))
    for fact in wired(window, "drops"):
        rate = number(fact.item.get("rate"), 0)
        if rate >= at.rate and round(rate, 3) not in rates:
            rates.add(round(rate, 3))
            yield _finding(window, at, fact.step, fact.place or "loss", rate, fact.source, dict(fact.item))


def _finding(
    window: Window,
    at: Thresholds,
    step: int,
    place: str,
    rate: float,
    source: Source | None,
    facts: dict[str, Any],
) -> Finding:
    facts.pop("place", None)
    return Finding(
        place=place,
        message=Bilingual(
            f"dropout takes away {rate:.0%} of the values (limit {at.rate:.0%})",
            f"随机失活（dropout）丢弃了 {rate:.0%} 的数值（阈值 {at.rate:.0%}）",
        ),
        advice=Bilingual(
            "lower p to between 0.1 and 0.5; it is the share that is dropped",
            "把 p 降到 0.1 至 0.5 之间；p 是被丢弃的比例",
        ),
        steps=(step, step),
        known_at=step,
        source=source,
        weight=rate,
        evidence=(
            facts_evidence(window, place, (step, step), Bilingual("dropout", "随机失活（dropout）"), **facts),
        ),
    )


def _layer(p: float, kind: str = "Dropout") -> Event:
    return event("layers", layers=[{"place": "drop", "class": kind, "training": True, "p": p}])


def _drop(rate: float) -> Event:
    return event("wiring", step=1, drops=[{"place": "fc", "rate": rate, "shape": [8, 32]}])


CASES = (
    fires("a layer", place="drop", events=(_layer(0.75),)),
    fires("the function", place="fc", events=(_layer(0.1), _drop(0.9))),
    silent("just under the rate", events=(_layer(0.749), _drop(0.749))),
    silent("what is usual", events=(_layer(0.5), _drop(0.5))),
    silent("none", events=(event("layers", layers=[]),)),
)
