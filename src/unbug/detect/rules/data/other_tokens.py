"""Evaluation inputs are made of other tokens than training inputs.

Why it matters: a model knows tokens by their numbers alone; under another numbering it is asked about a
    language that it never saw.
How it decides: over at least `tokens` tokens on each side, and `each` for every one that occurs, the most
    frequent token of either side left out (mostly padding): the distributions differ by at least `apart` in
    total variation, or at least `unknown` of the evaluation's tokens never came in training. It must still be
    so in the last evaluation.
When it is wrong: an evaluation on another language or domain on purpose.
What to do: make the vocabulary once, from the training data, and use the same one, with the same special
    tokens, for the evaluation.
Source: Breck et al. 2019, "Data Validation for Machine Learning", on training and serving skew; the numbers
    are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Phase,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line
from unbug.detect.given import Fields, given


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    tokens: int = threshold(1000, unit="tokens", low=100, high=10**9, why="fewer vary by chance")
    each: float = threshold(
        20.0, unit="tokens for each", low=2, high=10**6, why="shares are known to a fifth"
    )
    apart: float = threshold(
        0.4, unit="total variation", low=0.05, high=1.0, why="parts of one text stay below 0.15"
    )
    unknown: float = threshold(
        0.2, unit="of the tokens", low=0.01, high=1.0, why="rare words are a few percent"
    )


@detector(
    "D140",
    "other-tokens-in-evaluation",
    chinese="评估输入的词元与训练不同",
    diagnoses=("train-test-skew",),
    events=("given",),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    trained: dict[str, Fields] = {}
    told = sorted(
        [(step, 0, fields) for step, fields in given(window, "train")]
        + [(step, 1, fields) for step, fields in given(window, "eval")],
        key=lambda one: one[:2],
    )
    compared: list[tuple[int, tuple[float, float] | None]] = []
    for step, evaluates, fields in told:
        name = f"{fields.get('module')} {fields.get('root')}"
        if not evaluates:
            trained[name] = fields
        elif name in trained:
            numbers = _compared(trained[name], fields, at)
            if numbers is not None:
                compared.append((step, numbers if _differs(numbers, at) else None))
    if not compared or compared[-1][1] is None:
        return
    step, said = next((step, numbers) for step, numbers in compared if numbers is not None)
    apart, unknown = said
    yield Finding(
        place="data",
        message=Bilingual(
            f"tokens of the evaluation are distributed otherwise than those of the training (total variation "
            f"{apart:.2f}); {unknown:.0%} of them never came in training",
            f"评估词元的分布与训练不同（总变差 {apart:.2f}）；其中 {unknown:.0%} 从未在训练中出现",
        ),
        advice=Bilingual(
            "make the vocabulary once, from the training data, and use the same one for the evaluation",
            "只用训练数据建立一次词表，并在评估中使用同一个词表",
        ),
        steps=(0, step),
        known_at=step,
        source=data_line(window, "evaluation") or data_line(window, "input"),
        evidence=(
            facts_evidence(
                window, "data", (0, step), Bilingual("tokens", "词元"),
                total_variation=round(apart, 4), unknown_share=round(unknown, 4),
            ),
        ),
    )  # fmt: skip


def _compared(base: Fields, fields: Fields, at: Thresholds) -> tuple[float, float] | None:
    """Total variation, and share of unknown tokens; None where there are too few to tell."""
    one, other = _counts(base), _counts(fields)
    size = max(len(one), len(other))
    if not size or base.get("token_width") != fields.get("token_width"):
        return None
    one, other = np.pad(one, (0, size - len(one))), np.pad(other, (0, size - len(other)))
    frequent = {int(one.argmax()), int(other.argmax())}
    kept = [number for number in range(size) if number not in frequent]
    one, other = one[kept], other[kept]
    used = int(((one + other) > 0).sum())
    if used < 3 or min(one.sum(), other.sum()) < max(at.tokens, at.each * used):
        return None
    first, second = one / one.sum(), other / other.sum()
    return float(np.abs(first - second).sum() / 2), float(second[first == 0].sum())


def _differs(numbers: tuple[float, float], at: Thresholds) -> bool:
    return numbers[0] >= at.apart or numbers[1] >= at.unknown


def _counts(fields: Fields) -> NDArray[np.float64]:
    return np.asarray(fields.get("token_counts") or [], dtype=np.float64)


def _told(*evaluated: list[int], width: int = 12) -> tuple[Event, ...]:
    shared: dict[str, Any] = {"module": "Net", "token_width": 12}
    before = event("given", step=5, **shared, token_counts=[900, 800, 600, 400, 200, 100])
    after = [
        event(
            "given",
            step=9 + place,
            phase=Phase.EVAL,
            **(shared | {"token_width": width}),
            token_counts=counts,
        )
        for place, counts in enumerate(evaluated)
    ]
    return (before, *after)


_OTHER = [100, 200, 400, 600, 800, 900]
CASES = (
    fires("another numbering", place="data", events=_told(_OTHER)),
    fires("tokens that are new", events=_told([900, 800, 600, 400, 200, 100, 0, 300, 400])),
    silent("the same language", events=_told([910, 780, 620, 390, 210, 90])),
    silent("more padding", events=_told([5000, 800, 600, 400, 200, 100])),
    silent("few tokens", events=_told([10, 20, 40, 60, 80, 90])),
    silent("in the end the same", events=_told(_OTHER, [900, 800, 600, 400, 200, 100])),
    silent("sequences of another length", events=_told(_OTHER, width=20)),
)
