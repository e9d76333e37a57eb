"""An evaluation computes its loss from probabilities where training computes it from logits.

Why it matters: the loss that is reported is not the one that is trained. It cannot come near zero, differs
    from the training loss for no reason in the data, and picks the wrong checkpoint.
How it decides: a loss function that expects logits is given, in training, values that leave [0, 1] by more
    than `beyond`, and in evaluation, in `calls` calls, values that never do and do not reach its ends:
    sigmoids, or rows that sum to 1 for `cross_entropy`.
When it is wrong: a model that gives logits in training mode and probabilities in evaluation mode, and whose
    evaluation loss nobody looks at.
What to do: give the loss the logits in evaluation too.
Source: PyTorch documentation of `binary_cross_entropy_with_logits` and `cross_entropy`; the numbers are
    ours.
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
    loss_sites,
    silent,
    threshold,
    trained_sites,
)
from unbug.detect.wired import number

_LOGITS = ("binary_cross_entropy_with_logits", "cross_entropy")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    beyond: float = threshold(0.25, unit="beyond 0 or 1", low=0.0, high=100.0, why="a sigmoid never is")
    calls: int = threshold(2, unit="calls", low=1, high=1000, why="one small batch may lie inside by chance")


@detector(
    "L116",
    "evaluated-on-probabilities",
    chinese="评估损失用了概率",
    diagnoses=("metric-bug", "train-test-skew"),
    events=("loss_call",),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    def leaves(profile: Mapping[str, Any]) -> bool:
        low, high = number(profile.get("input_min")), number(profile.get("input_max"))
        return low < -at.beyond or high > 1 + at.beyond

    def probabilities(profile: Mapping[str, Any]) -> bool:
        sums = profile.get("rows_sum_to_one_share", 1.0 if profile["function"] == _LOGITS[0] else 0.0)
        low, high = number(profile.get("input_min")), number(profile.get("input_max"))
        within = low > 0 and high < 1 if profile["function"] == _LOGITS[0] else low >= 0
        return number(profile.get("input_in_unit_share"), 0) >= 1 and number(sums) >= 1 and within

    for name in _LOGITS:
        trained = [held for site in trained_sites(window, name) if (held := site.holds(leaves, calls=1))]
        if not trained:
            continue
        since = min(held.known_at for held in trained)
        for site in loss_sites(window, name, phase=Phase.EVAL):
            held = site.holds(probabilities, calls=at.calls)
            if held is None:
                continue
            low, high = number(held.profile.get("input_min")), number(held.profile.get("input_max"))
            yield Finding(
                place="loss",
                message=Bilingual(
                    f"{name} is given logits in training, and values in [{low:.3g}, {high:.3g}], which are "
                    "probabilities, in evaluation",
                    f"{name} 在训练时收到 logits，在评估时收到的却是概率，位于 [{low:.3g}, {high:.3g}]",
                ),
                advice=Bilingual(
                    "give the loss the logits in evaluation too: no sigmoid or softmax in front of it",
                    "评估时也把 logits 交给损失：前面不要用 sigmoid 或 softmax",
                ),
                steps=(held.since, max(held.last, since)),
                known_at=max(held.known_at, since),
                source=site.source,
                evidence=(site.evidence(window, held),),
            )


def _call(phase: str, low: float, high: float, unit: float = 1.0, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "function": _LOGITS[0],
        "file": "t.py",
        "line": 7 if phase == "train" else 20,
        "calls": 2,
    }
    values = {"input_min": low, "input_max": high, "input_in_unit_share": unit}
    return event("loss_call", phase=Phase.EVAL if phase == "eval" else Phase.TRAIN, **given | values | fields)


_TRAIN = _call("train", -2.0, 3.0, 0.0)
CASES = (
    fires("a sigmoid in evaluation", place="loss", events=(_TRAIN, _call("eval", 0.1, 0.9))),
    silent("both are probabilities", events=(_call("train", 0.1, 0.9), _call("eval", 0.1, 0.9))),
    silent("logits in both", events=(_TRAIN, _call("eval", -2, 3, 0.0))),
    silent("one call", events=(_TRAIN, _call("eval", 0.1, 0.9, calls=1))),
    silent(
        "logits of rows that do not sum to 1",
        events=(
            _call("train", -2, 3, 0.0, function="cross_entropy"),
            _call("eval", 0.1, 0.9, function="cross_entropy", rows_sum_to_one_share=0.0),
        ),
    ),
)
