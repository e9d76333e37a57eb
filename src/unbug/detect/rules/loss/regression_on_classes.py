"""A regression loss is used where the targets are classes.

Why it matters: numbers of classes have no distances: class 9 is not far from class 0. On one-hot rows or
    bits a squared error has weak gradients just where the model is wrong and sure, and learns slowly or
    not.
How it decides: in `calls` calls of a regression loss the targets are one-hot rows of 3 classes or more; or
    one whole number for each example, from 0 to K, that is as spread as the numbers of equally common
    classes are (mean K/2, variance K(K+2)/12, both within `slack`); or one bit for each example (for an
    absolute error, whose best answer is the more frequent one, bits of any number), of both kinds in most
    calls, and the output is not squashed. Programs with several optimizers are left out for bits.
When it is wrong: whole numbers that are amounts and happen to be equally common; a Brier score on purpose.
What to do: use `cross_entropy` with the class numbers, or `binary_cross_entropy_with_logits` for bits.
Source: Bishop 2006, "Pattern Recognition and Machine Learning", section 4.1.3 on least squares for
    classification; the numbers are ours.
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

_REGRESS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    calls: int = threshold(10, unit="calls", low=1, high=10_000, why="few targets may be whole by chance")
    share: float = threshold(0.99, unit="fraction of calls", low=0.5, high=1.0, why="classes are always so")
    bits: float = threshold(0.8, unit="fraction of calls", low=0.1, high=1.0, why="a rare class is missing")
    slack: float = threshold(0.2, unit="fraction", low=0.0, high=1.0, why="classes are never equally common")
    most: int = threshold(100, unit="classes", low=3, high=10_000, why="larger numbers are amounts")


@detector(
    "L107",
    "regression-loss-on-classes",
    chinese="用回归损失学习类别",
    diagnoses=("wrong-loss",),
    events=("loss_call", "optimizer"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.75,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def one_hot(profile: Mapping[str, Any]) -> bool:
        return number(profile.get("target_one_hot_share"), 0) >= at.share

    def numbers(profile: Mapping[str, Any]) -> bool:
        return number(profile.get("target_integral_share"), 0) >= at.share and _equally_common(profile, at)

    def bits(profile: Mapping[str, Any]) -> bool:
        shape, op = list(profile.get("target_shape") or ()), profile.get("input_op")
        one = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1) or profile.get("function") == "l1_loss"
        plain = op not in ("Sigmoid", "Softmax", "Tanh", "")
        return one and plain and number(profile.get("target_bits_share"), 0) >= at.bits

    several = len({e.fields.get("line") for e in window.events("optimizer")}) > 1
    for site in trained_sites(window, *_REGRESS):
        for condition, what in (
            (one_hot, Bilingual("one-hot rows of classes", "类别的 one-hot 行")),
            (numbers, Bilingual("numbers of classes", "类别编号")),
            (bits, Bilingual("bits, 0 or 1 for each example", "每个样本为 0 或 1")),
        ):
            if condition is bits and several:
                continue
            held = site.holds(condition, calls=at.calls)
            if held is None:
                continue
            low, high = number(held.profile.get("target_min")), number(held.profile.get("target_max"))
            yield Finding(
                place="loss",
                message=Bilingual(
                    f"{site.function} is a loss for amounts; the targets, {low:g} to {high:g}, are {what}",
                    f"{site.function} 用于回归数值，而目标（{low:g} 到 {high:g}）是{what.zh}",
                ),
                advice=Bilingual(
                    "use binary_cross_entropy_with_logits",
                    "改用 binary_cross_entropy_with_logits",
                )
                if condition is bits
                else Bilingual(
                    "give the model one output for each class and use cross_entropy",
                    "让模型为每个类别给出一个输出，并使用 cross_entropy",
                ),
                steps=(held.since, held.last),
                known_at=held.known_at,
                source=site.source,
                evidence=(site.evidence(window, held),),
            )
            break


def _equally_common(profile: Mapping[str, Any], at: Thresholds) -> bool:
    low, high = number(profile.get("target_min")), number(profile.get("target_max"))
    mean, square = number(profile.get("target_mean")), number(profile.get("target_square"))
    if low != 0 or not 2 <= high < at.most:
        return False
    variance, wanted = square - mean * mean, high * (high + 2) / 12
    return abs(mean - high / 2) <= at.slack * high / 2 and abs(variance - wanted) <= at.slack * wanted


def _call(**fields: Any) -> Event:
    given: dict[str, Any] = {
        "function": "mse_loss",
        "file": "t.py",
        "line": 7,
        "calls": 10,
        "input_op": "Addmm",
    }
    return event("loss_call", **given | {"target_min": 0.0, "target_max": 1.0} | fields)


_NUMBERS = {"target_integral_share": 1.0, "target_max": 9.0, "target_mean": 4.5, "target_square": 28.5}
_BITS = {"target_bits_share": 0.8, "target_shape": [32, 1]}
CASES = (
    fires("one-hot rows", place="loss", events=(_call(target_one_hot_share=1.0),)),
    fires("numbers of ten classes", events=(_call(**_NUMBERS),)),
    fires("bits", events=(_call(**_BITS),)),
    silent("ratings, most of them in the middle", events=(_call(**_NUMBERS | {"target_square": 23.0}),)),
    silent("counts, most of them small", events=(_call(**_NUMBERS | {"target_mean": 1.5}),)),
    silent("amounts", events=(_call(target_integral_share=0.3, target_max=9.0),)),
    silent("bits behind a sigmoid", events=(_call(**_BITS, input_op="Sigmoid"),)),
    silent("the bits of a least-squares GAN", events=(_call(**_BITS | {"target_bits_share": 0.0}),)),
    fires(
        "bits of an image by absolute error",
        events=(_call(**_BITS | {"target_shape": [8, 64], "function": "l1_loss"}),),
    ),
    silent("bits of an image", events=(_call(**_BITS | {"target_shape": [32, 64]}),)),
    silent("nine calls", events=(_call(target_one_hot_share=1.0, calls=9),)),
    silent(
        "a judge and a maker",
        events=(
            _call(**_BITS),
            event("optimizer", file="t.py", line=1),
            event("optimizer", file="t.py", line=2),
        ),
    ),
)
