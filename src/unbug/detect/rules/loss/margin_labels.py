"""A margin loss is given labels 0 and 1 where it expects -1 and 1.

Why it matters: a label of 0 takes the prediction out of the product. Negative examples give no gradient,
    and the model learns to call everything positive.
How it decides: in `calls` calls of a margin loss the targets are bits, 0 and 1; or in a hinge that is
    written by hand, `max(0, 1 - y f)`, the factor `y` is 0 or 1.
When it is wrong: a mask of zeros and ones that multiplies the prediction inside a hinge.
What to do: turn the labels into -1 and 1: `2 * y - 1`.
Source: PyTorch documentation of `SoftMarginLoss`, `HingeEmbeddingLoss` and `MarginRankingLoss` ("containing
    1 or -1").
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
    fires,
    silent,
    threshold,
    trained_sites,
)
from unbug.detect.wired import fact_evidence, number, wired

_MARGINS = ("soft_margin_loss", "hinge_embedding_loss", "margin_ranking_loss", "cosine_embedding_loss")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    calls: int = threshold(3, unit="calls", low=1, high=1000, why="a batch may have one kind alone")


@detector(
    "L109",
    "margin-labels",
    chinese="间隔损失的标签应为 ±1",
    diagnoses=("wrong-loss",),
    events=("loss_call", "wiring"),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    advice = Bilingual("turn the labels into -1 and 1: 2 * y - 1", "把标签变为 -1 和 1：2 * y - 1")

    def bits(profile: Mapping[str, Any]) -> bool:
        share = number(profile.get("target_bits_share"), 0)
        return share >= 0.5 and number(profile.get("target_min")) == 0

    for site in trained_sites(window, *_MARGINS):
        held = site.holds(bits, calls=at.calls)
        if held is not None:
            yield Finding(
                place="loss",
                message=Bilingual(
                    f"{site.function} expects labels -1 and 1 and is given 0 and 1",
                    f"{site.function} 需要 -1 和 1 的标签，收到的却是 0 和 1",
                ),
                advice=advice,
                steps=(held.since, held.last),
                known_at=held.known_at,
                source=site.source,
                evidence=(site.evidence(window, held),),
            )
    for fact in wired(window, "hinges"):
        if list(fact.item.get("labels") or ()) == [0.0, 1.0]:
            yield Finding(
                place="loss",
                message=Bilingual(
                    "a hinge, max(0, 1 - y f), has labels y of 0 and 1 in place of -1 and 1",
                    "合页损失 max(0, 1 - y f) 的标签 y 为 0 和 1，而不是 -1 和 1",
                ),
                advice=advice,
                steps=(fact.step, fact.step),
                known_at=fact.step,
                confidence=0.8,
                source=fact.loss,
                evidence=(fact_evidence(window, fact, Bilingual("labels in the graph", "计算图中的标签")),),
            )
            return


def _call(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "function": "soft_margin_loss",
        "file": "t.py",
        "line": 7,
        "calls": 3,
        "target_min": 0.0,
    }
    return event("loss_call", **given | {"target_bits_share": 1.0} | fields)


def _hinge(*labels: float) -> Event:
    return event("wiring", step=1, hinges=[{"place": "out", "labels": list(labels)}], file="t.py", line=3)


CASES = (
    fires("bits", place="loss", events=(_call(),)),
    fires("written by hand", place="loss", events=(_hinge(0.0, 1.0),)),
    silent("signs", events=(_call(target_bits_share=0.0, target_min=-1.0),)),
    silent("signs written by hand", events=(_hinge(-1.0, 1.0),)),
    silent("one kind", events=(_hinge(1.0),)),
    silent("two calls", events=(_call(calls=2),)),
)
