"""A cross-entropy over classes is given targets that are no distribution over classes, or one class alone.

Why it matters: with one output softmax gives 1 whatever the model says: the loss is constant and nothing is
    learned. With rows that do not sum to 1, as of several labels at once, examples weigh as their sums do,
    and the model is made to share one unit of probability among labels that exclude each other for it.
How it decides: in `calls` calls of `cross_entropy` the inputs have one class; or the targets are real
    numbers and in at most `share` of the calls all of their rows sum to 1.
When it is wrong: rows of soft labels that are weighted on purpose.
What to do: for one output or for several labels at once use `binary_cross_entropy_with_logits`; for amounts
    a regression loss.
Source: PyTorch documentation of `CrossEntropyLoss`, "probabilities for each class"; the numbers are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
    trained_sites,
)
from unbug.detect.wired import number, shape_text


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    calls: int = threshold(3, unit="calls", low=1, high=1000, why="a call on the side is not the training")
    share: float = threshold(0.1, unit="fraction of calls", low=0.0, high=1.0, why="distributions always do")


@detector(
    "L108",
    "no-class-targets",
    chinese="目标不是类别分布",
    diagnoses=("wrong-loss",),
    events=("loss_call",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def single(profile: Mapping[str, Any]) -> bool:
        return profile.get("classes") == 1 and len(profile.get("input_shape") or ()) > 1

    def no_distribution(profile: Mapping[str, Any]) -> bool:
        share = profile.get("target_rows_sum_to_one_share")
        real = str(profile.get("target_dtype") or "").startswith(("float", "bfloat"))
        return real and share is not None and number(share) <= at.share

    for site in trained_sites(window, "cross_entropy"):
        one = site.holds(single, calls=at.calls)
        held = one or site.holds(no_distribution, calls=at.calls)
        if held is None:
            continue
        shape = shape_text(held.profile.get("input_shape"))
        low, high = number(held.profile.get("target_min")), number(held.profile.get("target_max"))
        yield Finding(
            place="loss",
            message=Bilingual(
                f"cross_entropy is given one output for each example, shape {shape}: its loss is the same "
                "whatever the model says",
                f"cross_entropy 的每个样本只有一个输出，形状 {shape}：无论模型输出什么，损失都一样",
            )
            if one
            else Bilingual(
                f"cross_entropy is given targets from {low:g} to {high:g} whose rows do not sum to 1",
                f"cross_entropy 的目标位于 {low:g} 到 {high:g}，各行之和不为 1",
            ),
            advice=Bilingual(
                "use binary_cross_entropy_with_logits for one output or several labels at once, a regression "
                "loss for amounts",
                "单个输出或多标签时使用 binary_cross_entropy_with_logits，数值目标则使用回归损失",
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
        "calls": 3,
        "input_shape": [8, 5],
    }
    return event("loss_call", **given | {"classes": 5, "target_dtype": "float32"} | fields)


CASES = (
    fires("one output", place="loss", events=(_call(classes=1, input_shape=[8, 1], target_dtype="int64"),)),
    fires("several labels at once", events=(_call(target_rows_sum_to_one_share=0.1),)),
    silent("soft labels", events=(_call(target_rows_sum_to_one_share=1.0),)),
    silent("numbers of classes", events=(_call(target_dtype="int64"),)),
    silent("some rows are empty", events=(_call(target_rows_sum_to_one_share=0.5),)),
    silent("two calls", events=(_call(target_rows_sum_to_one_share=0.0, calls=2),)),
    silent("evaluated only", events=(_call(target_rows_sum_to_one_share=0.0, phase=Phase.EVAL),)),
)
