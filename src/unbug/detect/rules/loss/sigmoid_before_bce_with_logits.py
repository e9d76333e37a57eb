"""Probabilities are given to a binary cross-entropy that expects logits.

Why it matters: sigmoid is applied twice. The second one maps [0, 1] to [0.5, 0.73], so that no example can
    ever be called negative with confidence: the loss stays near ln 2 for negatives, and ranks are all that
    is learned.
How it decides: autograd says that a sigmoid or softmax made the inputs of
    `binary_cross_entropy_with_logits`, in `seen` calls. Where it does not say what made them: they lie in
    [0, 1], in at least `share` of at least `calls` calls, and the model ends in a sigmoid module or the
    inputs come as near as `edge` to 0 or 1. What learns from such a loss is driven to the edge, which a
    sigmoid never crosses and which means nothing to logits.
When it is wrong: a model whose logits are bounded on purpose, e.g. cosine similarities of positive
    features.
What to do: drop the sigmoid, or use `binary_cross_entropy` (`BCELoss`).
Source: PyTorch documentation of `binary_cross_entropy_with_logits`; the numbers are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
    trained_sites,
)

FUNCTION = "binary_cross_entropy_with_logits"
_SQUASHING = ("Sigmoid", "Softmax")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.99, unit="fraction of calls", low=0.5, high=1.0, why="a sigmoid does it always"
    )
    seen: int = threshold(3, unit="calls", low=1, high=10_000, why="a chance branch is not the model")
    calls: int = threshold(
        20, unit="calls", low=1, high=10_000, why="fresh networks give small logits at first"
    )
    edge: float = threshold(
        0.002, unit="from 0 or 1", low=1e-6, high=0.5, why="an undecided GAN judge stays away from it"
    )


@detector(
    "L102",
    "sigmoid-before-bce-with-logits",
    chinese="带 logits 的 BCE 前多了 sigmoid",
    diagnoses=("double-sigmoid",),
    events=("loss_call",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def squashed(profile: Mapping[str, Any]) -> bool:
        return profile.get("input_op") in _SQUASHING

    ends_so = _ends_in_sigmoid(window)

    def probabilities(profile: Mapping[str, Any]) -> bool:
        if profile.get("input_op"):
            return False
        share, low, high = (profile.get(k) for k in ("input_in_unit_share", "input_min", "input_max"))
        near = ends_so or min(_number(low), 1 - _number(high)) <= at.edge
        return bool(share is not None and share >= at.share and near)

    for site in trained_sites(window, FUNCTION):
        held = site.holds(squashed, calls=at.seen) or site.holds(probabilities, calls=at.calls)
        if held is None:
            continue
        low, high = _number(held.profile.get("input_min")), _number(held.profile.get("input_max"))
        operation = str(held.profile.get("input_op") or "").lower()
        given = (
            Bilingual(f"the output of a {operation}", f"{operation} 的输出")
            if operation
            else Bilingual("probabilities", "概率")
        )
        yield Finding(
            place="loss",
            message=Bilingual(
                f"{FUNCTION} is given {given}: inputs in [{low:.3g}, {high:.3g}]",
                f"{FUNCTION} 收到的是{given.zh}：输入位于 [{low:.3g}, {high:.3g}]",
            ),
            advice=Bilingual(
                "remove the sigmoid before the loss, or use binary_cross_entropy (BCELoss)",
                "去掉损失之前的 sigmoid，或改用 binary_cross_entropy（BCELoss）",
            ),
            steps=(held.since, held.last),
            known_at=held.known_at,
            source=site.source,
            evidence=(site.evidence(window, held),),
        )


def _ends_in_sigmoid(window: Window) -> bool:
    """Whether a sigmoid module comes after all weights."""
    last = max((place.order for place in window.places if place.kind == "parameter"), default=-1)
    sigmoids = (p.order for p in window.places if p.class_name.rpartition(".")[2] == "Sigmoid")
    return last >= 0 and any(order > last for order in sigmoids)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | str) else float("nan")


def _call(
    calls: int, share: float, low: float = 0.1, high: float = 0.9, *, step: int = 0, op: str = ""
) -> Event:
    return event(
        "loss_call",
        step=step,
        input_op=op,
        function=FUNCTION,
        file="train.py",
        line=30,
        calls=calls,
        input_in_unit_share=share,
        input_min=low,
        input_max=high,
    )


_STEPS = {"loss": [0.69] * 20}
CASES = (
    fires("exactly at the thresholds", place="loss", events=(_call(20, 0.99, 0.002, 0.6),)),
    fires("near one", place="loss", events=(_call(20, 1.0, 0.5, 0.999),)),
    fires("an unchanged profile holds on", place="loss", events=(_call(1, 1.0, 0.001),), loss__value=_STEPS),
    fires(
        "a sigmoid module at the end",
        events=(_call(20, 1.0, 0.4, 0.6),),
        places=(
            Place(path="fc.weight", kind="parameter", shape=(1, 4), order=0),
            Place(path="act", kind="module", class_name="torch.nn.modules.activation.Sigmoid", order=1),
        ),
    ),
    silent("one call short", events=(_call(1, 1.0, 0.001),), loss__value={"loss": [0.69] * 19}),
    silent("just under the share", events=(_call(20, 0.989, 0.001),)),
    silent("logits that stay in the middle", events=(_call(20, 1.0, 0.0021, 0.9979),)),
    fires("autograd names the sigmoid", events=(_call(20, 1.0, 0.4, 0.6, op="Sigmoid"),)),
    silent("autograd names a linear layer", events=(_call(20, 1.0, 0.001, op="Addmm"),)),
    silent("logits", events=(_call(20, 0.0, -4.0, 3.0),), loss__value=_STEPS),
)
