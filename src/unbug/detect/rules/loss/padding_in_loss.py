"""Padding is counted in the loss.

Why it matters: the positions behind the end of each sequence all have one target, which is learned at once.
    They dilute the loss and its gradients, accuracy looks high, and the model learns to say the padding.
How it decides: in `share` of at least `calls` calls of a cross-entropy over class numbers, the commonest
    target comes in runs of different lengths that all end (or all begin) at multiples of one length, as
    sequences that were filled up do; it makes up at least `least` of the targets, is not the
    `ignore_index`, and the loss is neither weighted nor left unreduced for a mask.
When it is wrong: sequences that end in a true run of the commonest label, each of them.
What to do: pass `ignore_index=` the padding's number, or mask these positions.
Source: PyTorch documentation of `CrossEntropyLoss`, `ignore_index`; the numbers are ours.
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
from unbug.detect.wired import number


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.95, unit="fraction of calls", low=0.5, high=1.0, why="padding is in all")
    calls: int = threshold(5, unit="calls", low=1, high=10_000, why="runs may line up in single batches")
    least: float = threshold(0.1, unit="fraction of targets", low=0.0, high=1.0, why="less does no harm")


@detector(
    "L112",
    "padding-in-loss",
    chinese="填充计入损失",
    diagnoses=("padding-in-loss",),
    events=("loss_call",),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def padded(profile: Mapping[str, Any]) -> bool:
        if profile.get("reduction") == "none" or profile.get("weighted"):
            return False
        counted = number(profile.get("pad_value")) != number(profile.get("ignore_index"), -100)
        often = number(profile.get("target_padded_share"), 0) >= at.share
        return often and counted and number(profile.get("pad_share"), 0) >= at.least

    for site in trained_sites(window, "cross_entropy", "nll_loss"):
        held = site.holds(padded, calls=at.calls)
        if held is None:
            continue
        value, share = number(held.profile.get("pad_value")), number(held.profile.get("pad_share"))
        yield Finding(
            place="loss",
            message=Bilingual(
                f"{share:.0%} of the targets of {site.function} are {value:g}, in runs that fill sequences "
                "up to one length: padding is counted in the loss",
                f"{site.function} 的目标中有 {share:.0%} 为 {value:g}，它们成段地把序列填充到同一长度："
                "填充被计入损失",
            ),
            advice=Bilingual(
                f"pass ignore_index={value:g} to the loss, or mask these positions",
                f"给损失传入 ignore_index={value:g}，或屏蔽这些位置",
            ),
            steps=(held.since, held.last),
            known_at=held.known_at,
            source=site.source,
            evidence=(site.evidence(window, held),),
        )


def _call(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "function": "cross_entropy",
        "file": "t.py",
        "line": 7,
        "calls": 5,
        "ignore_index": -100,
    }
    padding = {"target_padded_share": 0.95, "pad_value": 0.0, "pad_share": 0.1, "reduction": "mean"}
    return event("loss_call", **given | padding | fields)


CASES = (
    fires("exactly at the thresholds", place="loss", events=(_call(),)),
    silent("it is ignored", events=(_call(ignore_index=0),)),
    silent("targets are the ignored number", events=(_call(pad_value=-100.0),)),
    silent("a mask comes behind", events=(_call(reduction="none"),)),
    silent("classes are weighted", events=(_call(weighted=True),)),
    silent("little of it", events=(_call(pad_share=0.09),)),
    silent("in some batches only", events=(_call(target_padded_share=0.9),)),
    silent("no sequences", events=(_call(target_padded_share=0.0, pad_share=0.0),)),
)
