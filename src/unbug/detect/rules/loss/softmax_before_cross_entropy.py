"""Probabilities are given to a cross-entropy that expects logits.

Why it matters: softmax is applied twice. The loss cannot fall below about ln(1 + (K - 1) / e) for K
    classes, its gradients are small everywhere, and learning is slow or stuck.
How it decides: in calls of `cross_entropy` the inputs lie in [0, 1] and each row sums to 1, in at least
    `share` of at least `calls` calls. Logits do not do that by chance.
When it is wrong: inputs that are probabilities on purpose, as in some distillation losses.
What to do: return the logits from the model; apply softmax only where probabilities are shown. Or keep the
    softmax as `log_softmax` and use `nll_loss`.
Source: PyTorch documentation of `cross_entropy` ("unnormalized logits"); both numbers are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import e, log
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


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.99, unit="fraction of calls", low=0.5, high=1.0, why="softmax does it in all calls"
    )
    calls: int = threshold(
        3, unit="calls", low=1, high=1000, why="rows of logits do not sum to 1 three times by chance"
    )


@detector(
    "L101",
    "softmax-before-cross-entropy",
    chinese="交叉熵前多了 softmax",
    diagnoses=("softmax-before-ce",),
    events=("loss_call",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.97,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def probabilities(profile: Mapping[str, Any]) -> bool:
        shares = profile.get("input_in_unit_share"), profile.get("rows_sum_to_one_share")
        return (profile.get("classes") or 2) >= 2 and all(s is not None and s >= at.share for s in shares)

    for site in trained_sites(window, "cross_entropy"):
        held = site.holds(probabilities, calls=at.calls)
        if held is None:
            continue
        classes = held.profile.get("classes")
        least = log(1 + (classes - 1) / e) if classes else None
        floor = (
            Bilingual(
                f"; with {classes} classes it cannot fall below {least:.2f}",
                f"；对 {classes} 个类别，它不可能低于 {least:.2f}",
            )
            if least is not None
            else ""
        )
        by = (
            Bilingual("the output of a softmax", "softmax 的输出")
            if held.profile.get("input_op") == "Softmax"
            else Bilingual("probabilities", "概率")
        )
        yield Finding(
            place="loss",
            message=Bilingual(
                f"cross_entropy is given {by}: inputs in [0, 1], rows that sum to 1",
                f"cross_entropy 收到的是{by.zh}：输入位于 [0, 1]，每行之和为 1",
            )
            + floor,
            advice=Bilingual(
                "return the logits from the model: remove the softmax before cross_entropy",
                "让模型返回 logits：去掉 cross_entropy 之前的 softmax",
            ),
            steps=(held.since, held.last),
            known_at=held.known_at,
            source=site.source,
            evidence=(site.evidence(window, held, threshold=least),),
        )


def _call(calls: int, unit: float, rows: float, *, step: int = 0, **fields: Any) -> Event:
    return event(
        "loss_call",
        step=step,
        function="cross_entropy",
        file="train.py",
        line=31,
        calls=calls,
        classes=10,
        input_in_unit_share=unit,
        rows_sum_to_one_share=rows,
        **fields,
    )


CASES = (
    fires("exactly at both thresholds", place="loss", events=(_call(3, 0.99, 0.99),)),
    fires(
        "an unchanged profile holds on",
        place="loss",
        events=(_call(1, 1.0, 1.0),),
        loss__value={"loss": [2.3] * 3},
    ),
    silent("one call short", events=(_call(1, 1.0, 1.0),), loss__value={"loss": [2.3] * 2}),
    silent("just under the share", events=(_call(3, 1.0, 0.989),), loss__value={"loss": [2.3] * 9}),
    silent("an evaluation after training", events=(_call(9, 1.0, 1.0, input_requires_grad=False),)),
    silent("logits that happen to lie in [0, 1]", events=(_call(900, 1.0, 0.0),)),
    silent(
        "the profile changed in time",
        events=(_call(1, 1.0, 1.0), _call(2, 0.5, 0.5, step=1)),
        loss__value={"loss": [2.3] * 9},
    ),
)
