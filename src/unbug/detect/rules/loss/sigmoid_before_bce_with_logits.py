"""Probabilities are given to a binary cross-entropy that expects logits.

Why it matters: sigmoid is applied twice. The second one maps [0, 1] to [0.5, 0.73], so that no example can
    ever be called negative with confidence: the loss stays near ln 2 for negatives, and ranks are all that is
        learned.
How it decides: all inputs of `binary_cross_entropy_with_logits` lie in [0, 1], in at least `share` of at
    least `calls` calls, and they reach over at least `width` of that range. Logits of a network that learns
    leave [0, 1] soon; those of one that does not are narrow.
When it is wrong: a model whose logits are bounded on purpose, e.g. cosine similarities of positive features.
What to do: drop the sigmoid, or use `binary_cross_entropy` (`BCELoss`).
Source: PyTorch documentation of `binary_cross_entropy_with_logits`; the numbers are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
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

FUNCTION = "binary_cross_entropy_with_logits"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.99, unit="fraction of calls", low=0.5, high=1.0, why="a sigmoid does it always"
    )
    calls: int = threshold(
        20, unit="calls", low=1, high=10_000, why="fresh networks give small logits at first"
    )
    width: float = threshold(0.125, unit="of [0, 1]", low=0.0, high=1.0, why="constant outputs prove nothing")


@detector(
    "L102",
    "sigmoid-before-bce-with-logits",
    diagnoses=("double-sigmoid",),
    events=("loss_call",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def probabilities(profile: Mapping[str, Any]) -> bool:
        share, low, high = (profile.get(k) for k in ("input_in_unit_share", "input_min", "input_max"))
        return bool(share is not None and share >= at.share and _number(high) - _number(low) >= at.width)

    for site in trained_sites(window, FUNCTION):
        held = site.holds(probabilities, calls=at.calls)
        if held is None:
            continue
        since, known_at, profile = held
        low, high = _number(profile["input_min"]), _number(profile["input_max"])
        yield Finding(
            place="loss",
            message=f"{FUNCTION} is given probabilities: inputs in [{low:.3g}, {high:.3g}]",
            advice="remove the sigmoid before the loss, or use binary_cross_entropy (BCELoss)",
            steps=(since, known_at),
            known_at=known_at,
            source=site.source,
            evidence=(site.evidence(window, since, known_at, profile),),
        )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | str) else float("nan")


def _call(calls: int, share: float, low: float = 0.1, high: float = 0.9, *, step: int = 0) -> Event:
    return event(
        "loss_call",
        step=step,
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
    fires("exactly at the thresholds", place="loss", events=(_call(20, 0.99, 0.5, 0.625),)),
    fires("an unchanged profile holds on", place="loss", events=(_call(1, 1.0),), loss__value=_STEPS),
    silent("one call short", events=(_call(1, 1.0),), loss__value={"loss": [0.69] * 19}),
    silent("just under the share", events=(_call(20, 0.989),)),
    silent("a narrow band", events=(_call(20, 1.0, 0.5, 0.62),)),
    silent("logits", events=(_call(20, 0.0, -4.0, 3.0),), loss__value=_STEPS),
)
