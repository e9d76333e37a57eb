"""A loss that expects log-probabilities is given something else.

Why it matters: `nll_loss` of scores or probabilities is no likelihood. It has no lower bound or a wrong
    one, and is lowered by making all outputs larger. `kl_div` of probabilities is no divergence.
How it decides: in `calls` calls the inputs of `nll_loss` are above 0, or their rows are no
    log-probabilities (the sum of their exponentials is not 1); the inputs of `kl_div` are not below 0,
    which logarithms of probabilities are, or a softmax made them.
When it is wrong: unnormalised log-densities that are given to `nll_loss` on purpose.
What to do: put `log_softmax` in front, or use `cross_entropy`, which contains it.
Source: PyTorch documentation of `NLLLoss` and `KLDivLoss`; the number of calls is ours.
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
    calls: int = threshold(3, unit="calls", low=1, high=1000, why="a call on the side is not the training")
    above: float = threshold(
        1e-3, unit="largest input", low=0.0, high=1.0, why="rounding lifts a logarithm of 1 above 0"
    )


@detector(
    "L106",
    "no-log-probabilities",
    chinese="损失需要对数概率",
    diagnoses=("wrong-loss",),
    events=("loss_call",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.92,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def wrong(profile: Mapping[str, Any]) -> bool:
        op, high, low = profile.get("input_op"), profile.get("input_max"), profile.get("input_min")
        if high is None or low is None or op == "LogSoftmax":
            return False
        if profile.get("function") == "nll_loss":
            share = profile.get("rows_are_log_probabilities_share")
            return number(high) > at.above or (share is not None and number(share) <= 0.01)
        return op in ("Softmax", "Sigmoid") or (number(low) >= 0 and number(high) > at.above)

    for site in trained_sites(window, "nll_loss", "kl_div"):
        held = site.holds(wrong, calls=at.calls)
        if held is None:
            continue
        low, high = number(held.profile.get("input_min")), number(held.profile.get("input_max"))
        yield Finding(
            place="loss",
            message=Bilingual(
                f"{site.function} expects log-probabilities and is given values in [{low:.3g}, {high:.3g}] "
                f"that are none",
                f"{site.function} 需要对数概率，收到的却是位于 [{low:.3g}, {high:.3g}] 的其他数值",
            ),
            advice=Bilingual(
                "put log_softmax in front of it, or use cross_entropy on the logits",
                "在它前面使用 log_softmax，或对 logits 使用 cross_entropy",
            ),
            steps=(held.since, held.last),
            known_at=held.known_at,
            source=site.source,
            evidence=(site.evidence(window, held),),
        )


def _call(function: str, low: float, high: float, **fields: Any) -> Event:
    given: dict[str, Any] = {"function": function, "file": "t.py", "line": 7, "calls": 3, "input_op": "Addmm"}
    return event("loss_call", **given | {"input_min": low, "input_max": high} | fields)


CASES = (
    fires("scores", place="loss", events=(_call("nll_loss", -3, 0.0011),)),
    fires("negative scores", events=(_call("nll_loss", -3, -1, rows_are_log_probabilities_share=0.0),)),
    fires("probabilities for a divergence", events=(_call("kl_div", 0.01, 0.9, input_op="Softmax"),)),
    silent("rounding", events=(_call("nll_loss", -9, 1e-3, rows_are_log_probabilities_share=1.0),)),
    silent("log-probabilities", events=(_call("nll_loss", -9, -0.1, rows_are_log_probabilities_share=1.0),)),
    silent("a log_softmax", events=(_call("kl_div", -9, 0, input_op="LogSoftmax"),)),
    silent("two calls", events=(_call("nll_loss", -3, 4, calls=2),)),
    silent("an evaluation", events=(_call("nll_loss", -3, 4, input_requires_grad=False),)),
)
