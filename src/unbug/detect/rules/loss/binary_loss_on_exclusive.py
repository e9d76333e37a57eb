"""A binary cross-entropy is used for classes that exclude each other.

Why it matters: each class is learned against the rest, and nothing says that one of them must be right. It
    works, but probabilities do not sum to 1, and with many classes the zeros outweigh the one.
How it decides: in `calls` calls the targets are one-hot rows of 3 classes or more, in all of them.
When it is wrong: it is a choice in some recipes for images and detectors; therefore a note.
What to do: use `cross_entropy` with the class numbers, unless the choice was meant.
Source: PyTorch documentation of `BCEWithLogitsLoss` ("multi-label"); the number of calls is ours.
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
    calls: int = threshold(10, unit="calls", low=1, high=10_000, why="rows may have one label by chance")


@detector(
    "L110",
    "binary-loss-on-exclusive-classes",
    chinese="互斥类别用了二元交叉熵",
    diagnoses=("wrong-loss",),
    events=("loss_call",),
    severity=Severity.NOTE,
    since="0.2",
    confidence=0.6,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def one_hot(profile: Mapping[str, Any]) -> bool:
        return number(profile.get("target_one_hot_share"), 0) >= 1.0

    for site in trained_sites(window, "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        held = site.holds(one_hot, calls=at.calls)
        if held is not None:
            classes = list(held.profile.get("target_shape") or (0, 0))[1]
            yield Finding(
                place="loss",
                message=Bilingual(
                    f"{site.function} is used where each example has exactly one of {classes} classes",
                    f"每个样本恰好属于 {classes} 个类别之一，却使用了 {site.function}",
                ),
                advice=Bilingual(
                    "use cross_entropy with the class numbers, unless this is meant",
                    "如非有意，请用类别编号和 cross_entropy",
                ),
                steps=(held.since, held.last),
                known_at=held.known_at,
                source=site.source,
                evidence=(site.evidence(window, held),),
            )


def _call(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "function": "binary_cross_entropy_with_logits",
        "file": "t.py",
        "line": 7,
        "calls": 10,
    }
    return event("loss_call", **given | {"target_one_hot_share": 1.0, "target_shape": [32, 7]} | fields)


CASES = (
    fires("one-hot rows", place="loss", events=(_call(),)),
    silent("a row with two labels", events=(_call(target_one_hot_share=0.9),)),
    silent("nine calls", events=(_call(calls=9),)),
)
