"""The output's activation cannot give the values that the loss asks for.

Why it matters: what the model cannot say it cannot learn. Its outputs are driven to the edge of their
    range, where gradients vanish, and the error that is left has a floor.
How it decides: a sigmoid, softmax, tanh or ReLU made the prediction, and at least `outside` of the targets
    of a regression loss lie beyond its range by more than 0.01, in the mean of `calls` calls or in a
    difference that is written by hand. Or a ReLU, tanh or sigmoid made what `cross_entropy` takes for
    logits, or a ReLU or tanh what `binary_cross_entropy_with_logits` does.
When it is wrong: targets that are clipped on purpose; bounded logits with a temperature are not bounded
    behind it.
What to do: leave the last layer linear, or scale the targets into the range.
Source: Goodfellow et al. 2016, "Deep Learning", section 6.2.2 on output units; the share is ours.
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

_REGRESS = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
_BOUNDED = {
    "cross_entropy": ("Relu", "Tanh", "Sigmoid"),
    "binary_cross_entropy_with_logits": ("Relu", "Tanh"),
}


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    outside: float = threshold(
        0.1, unit="fraction of targets", low=0.0, high=1.0, why="a few lie outside in noisy data"
    )
    calls: int = threshold(3, unit="calls", low=1, high=1000, why="a call on the side is not the training")


@detector(
    "L111",
    "unreachable-targets",
    chinese="输出激活达不到目标",
    diagnoses=("output-activation-mismatch",),
    events=("loss_call", "wiring"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def beyond(profile: Mapping[str, Any]) -> bool:
        return number(profile.get("target_outside"), 0) >= at.outside

    def no_logits(profile: Mapping[str, Any]) -> bool:
        return profile.get("input_op") in _BOUNDED.get(str(profile.get("function")), ())

    for site in trained_sites(window, *_REGRESS, *_BOUNDED):
        held = site.holds(beyond if site.function in _REGRESS else no_logits, calls=at.calls)
        if held is None:
            continue
        operation = str(held.profile.get("input_op")).lower()
        low, high = number(held.profile.get("input_min")), number(held.profile.get("input_max"))
        yield Finding(
            place="loss",
            message=_beyond(operation, held.profile, number(held.profile.get("target_outside"), 0))
            if site.function in _REGRESS
            else Bilingual(
                f"{site.function} is given the output of a {operation}, in [{low:.3g}, {high:.3g}], "
                "where it expects logits of any size",
                f"{site.function} 需要任意大小的 logits，收到的却是 {operation} 的输出，"
                f"位于 [{low:.3g}, {high:.3g}]",
            ),
            advice=_ADVICE,
            diagnoses=("output-activation-mismatch", "wrong-loss") if operation == "sigmoid" else None,
            steps=(held.since, held.last),
            known_at=held.known_at,
            source=site.source,
            evidence=(site.evidence(window, held),),
        )
    for fact in wired(window, "residuals"):
        share = number(fact.item.get("outside"), 0)
        if share >= at.outside:
            yield Finding(
                place="loss",
                message=_beyond(str(fact.item.get("op")).lower(), fact.item, share),
                advice=_ADVICE,
                # What an exponential gives beside a residual is mostly its scale, no prediction.
                severity=Severity.NOTE if fact.item.get("op") == "Exp" else None,
                steps=(fact.step, fact.step),
                known_at=fact.step,
                source=fact.loss,
                evidence=(
                    fact_evidence(window, fact, Bilingual("output and targets", "输出与目标"), place="loss"),
                ),
            )
            return


_ADVICE = Bilingual(
    "leave the last layer linear, or scale the targets into the range of its activation",
    "让最后一层保持线性，或把目标缩放到激活函数的值域内",
)


def _beyond(operation: str, fields: Mapping[str, Any], share: float) -> Bilingual:
    low, high = number(fields.get("target_min")), number(fields.get("target_max"))
    return Bilingual(
        f"{share:.0%} of the targets, {low:.3g} to {high:.3g}, are out of reach of the {operation} that "
        "makes the output",
        f"{share:.0%} 的目标（{low:.3g} 到 {high:.3g}）超出产生输出的 {operation} 的值域",
    )


def _call(function: str, op: str, **fields: Any) -> Event:
    given: dict[str, Any] = {"function": function, "file": "t.py", "line": 7, "calls": 3, "input_op": op}
    return event("loss_call", **given | {"input_min": 0.0, "input_max": 1.0} | fields)


def _residual(share: float) -> Event:
    item = {"place": "out", "op": "Relu", "target_min": -2.0, "target_max": 2.0, "outside": share}
    return event("wiring", step=1, residuals=[item], file="t.py", line=3)


CASES = (
    fires("just at the share", place="loss", events=(_call("mse_loss", "Sigmoid", target_outside=0.1),)),
    fires("written by hand", place="loss", events=(_residual(0.5),)),
    fires("a ReLU on logits", events=(_call("cross_entropy", "Relu"),)),
    fires(
        "a sigmoid on logits",
        events=(_call("cross_entropy", "Sigmoid"),),
        diagnoses=("output-activation-mismatch", "wrong-loss"),
    ),
    silent("a few outside", events=(_call("mse_loss", "Sigmoid", target_outside=0.09), _residual(0.09))),
    silent("images in [-1, 1] from a tanh", events=(_call("mse_loss", "Tanh", target_outside=0.0),)),
    silent("logits", events=(_call("cross_entropy", "Addmm"),)),
    silent("one call", events=(_call("cross_entropy", "Relu", calls=1),)),
)
