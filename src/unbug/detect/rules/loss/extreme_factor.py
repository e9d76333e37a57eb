"""A constant factor of hundreds lets one term of the loss be all of it.

Why it matters: the gradient is that of this term alone; what the other one asks for is not learned.
How it decides: at each of the first `told` steps whose terms were told, one makes up at least `share` of
    all. Its factor is at least `factor`; that of another term, a loss function with targets, is ordinary
    (`ordinary` at most, and one over it at least); and without factors both would be of like size (within
    `alike`), so that it is the factor and not the nature of the terms that decides.
When it is wrong: a factor that makes up for units, where the large term is small to begin with: then it does
    not make up the loss. Factors below one, of penalties and regularisers, are not looked at.
What to do: choose factors that bring the terms to the same size, or look at the gradient of each.
Source: Chen et al. 2018, "GradNorm", arXiv:1711.02257, on balance of terms; the numbers are ours.
"""

from collections.abc import Iterator, Mapping
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
from unbug.detect.wired import given_line, number


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.99, unit="of all terms", low=0.5, high=1.0, why="then the rest is noise")
    factor: float = threshold(200.0, unit="times", low=10, high=1e9, why="recipes stay within 100")
    ordinary: float = threshold(10.0, unit="times", low=1, high=1000, why="written as it is, or about so")
    alike: float = threshold(50.0, unit="times", low=2, high=1e6, why="losses of one task, as first values")
    told: int = threshold(3, unit="told steps", low=2, high=1000, why="more than a warm-up")


@detector(
    "L130",
    "extreme-term-factor",
    chinese="损失项系数过大",
    diagnoses=("loss-term-imbalance",),
    events=("loss_terms",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = window.events("loss_terms")
    if len(told) < at.told:
        return
    first = _heavy(told[0].fields, at)
    later = [_heavy(one.fields, at) for one in told[1 : at.told]]
    if first is None or any(one is None or one[0].get("name") != first[0].get("name") for one in later):
        return
    heavy, light = first
    step = max(told[at.told - 1].step, 0)
    yield Finding(
        place="loss",
        message=Bilingual(
            f"the factor {number(heavy.get('factor')):g} makes {heavy.get('name')} "
            f"{number(heavy.get('share')):.2%} of the loss; {light.get('name')}, of like size "
            "without it, hardly counts",
            f"系数 {number(heavy.get('factor')):g} 使 {heavy.get('name')} 占损失的 "
            f"{number(heavy.get('share')):.2%}；不计系数时大小相近的 {light.get('name')} 几乎不起作用",
        ),
        advice=Bilingual(
            "choose factors that bring the terms of the loss to the same size",
            "选择系数，使损失各项大小相当",
        ),
        steps=(max(told[0].step, 0), step),
        known_at=step,
        source=given_line(heavy) or given_line(light),
        evidence=(
            facts_evidence(
                window,
                "loss",
                (max(told[0].step, 0), step),
                Bilingual("terms of the loss", "损失的各项"),
                factor=number(heavy.get("factor")),
                share=number(heavy.get("share")),
                large=number(heavy.get("value")),
                small=number(light.get("value")),
            ),
        ),
    )


def _heavy(fields: Mapping[str, Any], at: Thresholds) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The term that is all, and one that should count; None if there is no such pair."""
    terms = [one for one in fields.get("terms") or () if isinstance(one, Mapping)]
    heavy = max(terms, key=lambda one: number(one.get("share"), 0), default=None)
    if heavy is None or number(heavy.get("share"), 0) < at.share:
        return None
    factor = abs(number(heavy.get("factor"), 0))
    if not factor >= at.factor:
        return None
    bare = abs(number(heavy.get("value"), 0)) / factor
    for light in terms:
        own = abs(number(light.get("factor"), 0))
        if light is heavy or not light.get("file") or not 1 / at.ordinary <= own <= at.ordinary:
            continue
        size = abs(number(light.get("value"), 0)) / own
        if bare > 0 and size > 0 and 1 / at.alike <= bare / size <= at.alike:
            return heavy, light
    return None


def _terms(step: int, share: float = 0.999, factor: float = 5000.0, **fields: Any) -> Event:
    heavy = {"name": "Mean", "factor": factor, "share": share, "value": 0.8 * factor, "file": "", "line": 0}
    light = {
        "name": "mse_loss",
        "factor": 1.0,
        "share": 1 - share,
        "value": 0.7,
        "file": "t.py",
        "line": 8,
    } | fields
    return event("loss_terms", step=step, total=0.8 * factor + 0.7, terms=[heavy, light])


def _three(**fields: Any) -> tuple[Event, ...]:
    return tuple(_terms(step, **fields) for step in (1, 2, 5))


CASES = (
    fires("a factor of thousands", place="loss", events=_three()),
    fires("exactly at the thresholds", events=_three(share=0.99, factor=200.0)),
    silent("a factor of a hundred", events=_three(factor=100.0)),
    silent("it makes up for units", events=_three(share=0.6)),
    silent("small by nature: without factors not alike", events=_three(value=0.001)),
    silent("a penalty of no loss function", events=_three(file="")),
    silent("two told steps", events=(_terms(1), _terms(2))),
    silent("falls out of balance for a step", events=(_terms(1), _terms(2, share=0.5), _terms(5))),
    silent("one term", events=(event("loss_terms", total=1.0, terms=[]),) * 3),
)
