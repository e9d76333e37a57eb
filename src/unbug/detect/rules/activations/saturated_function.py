"""Hidden units are saturated from the first steps on, whatever way the activation is called.

Why it matters: in the flat part of a sigmoid or tanh the derivative is almost zero, so that hardly a gradient
    passes to the layers before; a softmax that is one-hot passes none to what it chose by.
How it decides: in the graph of the loss, at the first `looks` looks (after 1, 2, 4 … steps), at least `share`
    of what a hidden `tanh`, `sigmoid` or `softmax` gave lies in its flat part: module, function or part of a
    recurrent cell alike. Of a fused LSTM the gates are estimated from its input and its weights. Sigmoids
    that multiply something are gates, which may be hard, and are left out. If the model's input reaches
    `input`, the unscaled input is the reason.
When it is wrong: weights that were trained before with hard codes.
What to do: scale what goes in to about 1, or start with smaller weights.
Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks";
    the numbers are ours.
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
from unbug.detect.flatness import flatness

_KINDS = {
    "Tanh": Bilingual("tanh"),
    "Sigmoid": Bilingual("sigmoid"),
    "Softmax": Bilingual("softmax"),
    "MkldnnRnnLayer": Bilingual("the gates", "门控"),
}


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.75, unit="fraction", low=0.3, high=1.0, why="healthy at the start: below 0.1")
    looks: int = threshold(3, unit="looks", low=1, high=20, why="outlasts an odd first batch")
    input: float = threshold(
        30.0, unit="largest input", low=1, high=1e9, why="standardised inputs stay below 10"
    )


@detector(
    "A130",
    "saturated-from-the-start",
    chinese="从一开始就饱和",
    diagnoses=("saturated-activation",),
    reads=("input.absmax",),
    events=("flat",),
    severity=Severity.WARNING,
    since="0.4",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for one in flatness(window):
        if one.op not in _KINDS or (one.gate and one.op == "Sigmoid"):
            continue
        if one.steps[0] > 4 or one.first(at.share, at.looks) != 0:
            continue
        share, known_at = min(one.flat[: at.looks]), one.steps[at.looks - 1]
        seen = [track.before(known_at + 1) for track in window.read("input.absmax")]
        largest = max((float(track.values.max()) for track in seen if len(track)), default=0.0)
        unscaled = largest >= at.input
        why = (
            Bilingual(f"; inputs reach {largest:.4g}", f"；输入高达 {largest:.4g}")
            if unscaled
            else Bilingual()
        )
        kind = _KINDS[one.op]
        yield Finding(
            place=one.place,
            message=Bilingual(
                f"at least {share:.0%} of what {kind} gives behind {one.place} is saturated at the first "
                f"{at.looks} looks (limit {at.share:.0%})",
                f"{one.place} 之后的 {kind.zh} 至少有 {share:.0%} 的输出饱和，最初 {at.looks} 次查看均如此"
                f"（阈值 {at.share:.0%}）",
            )
            + why,
            advice=Bilingual("standardise the inputs", "对输入做标准化")
            if unscaled
            else Bilingual(
                "scale what goes into this layer to about 1, or start with smaller weights",
                "把该层的输入缩放到 1 左右，或用更小的初始权重",
            ),
            diagnoses=("unnormalized-input", "saturated-activation") if unscaled else None,
            steps=(one.steps[0], known_at),
            known_at=known_at,
            weight=share,
            evidence=(
                facts_evidence(
                    window,
                    one.place,
                    (one.steps[0], known_at),
                    Bilingual("share of saturated outputs, by step", "各步的饱和输出占比"),
                    operation=one.op,
                    shares={str(s): f for s, f in zip(one.steps[: at.looks], one.flat, strict=False)},
                ),
            ),
        )


def _look(step: int, flat: float, op: str = "Tanh", **fields: Any) -> Event:
    item = {"after": "fc.weight", "op": op, "hidden": True, "gate": False, "flat": flat, "dead": None}
    return event("flat", step=step, items=[item | fields])


def _looks(*shares: float, op: str = "Tanh", **fields: Any) -> tuple[Event, ...]:
    return tuple(_look(2**n, share, op, **fields) for n, share in enumerate(shares))


CASES = (
    fires("exactly at the share", place="fc", events=_looks(0.75, 0.75, 0.75)),
    fires("a fused recurrent layer", events=_looks(0.9, 0.9, 0.9, op="MkldnnRnnLayer")),
    fires(
        "the input is the reason",
        diagnoses=("unnormalized-input", "saturated-activation"),
        events=_looks(0.9, 0.9, 0.9),
        input__absmax={"data": [30.0] * 5},
    ),
    silent("just under it", events=_looks(0.75, 0.74, 0.75)),
    silent("two looks", events=_looks(0.9, 0.9)),
    silent("it came later: a code that hardens", events=_looks(0.1, 0.9, 0.9, 0.9, 0.9)),
    silent("a gate", events=_looks(0.9, 0.9, 0.9, op="Sigmoid", gate=True)),
    silent("the output of the network", events=_looks(1.0, 1.0, 1.0, hidden=False)),
    silent("zeros of a ReLU", events=_looks(1.0, 1.0, 1.0, op="Relu")),
)
