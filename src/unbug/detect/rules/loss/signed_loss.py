"""The loss is a plain difference of predictions and targets, and nothing makes it positive.

Why it matters: errors above and below cancel, and the loss has no lower bound: it falls as long as the
    outputs fall, whatever the targets are. The model does not learn, while the curve looks excellent.
How it decides: in the graph of the loss, or of a term of it, the last reduction is a mean or a sum of
    `output - constant`, with neither a square, an absolute value nor anything else between; and the
    reduction runs over `elements` elements or more.
When it is wrong: critics whose mean is moved by a constant, as in some adversarial losses.
What to do: take the square or the absolute value: `mse_loss`, `l1_loss`.
Source: Bishop 2006, "Pattern Recognition and Machine Learning", section 1.5.5 on losses for regression.
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
from unbug.detect.wired import given_line, wirings


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    elements: int = threshold(2, unit="elements", low=1, high=10**6, why="a single number may be a bound")


@detector(
    "L118",
    "signed-loss",
    chinese="损失没有取绝对值或平方",
    diagnoses=("wrong-loss",),
    events=("wiring", "optimizer"),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    if len({one.fields.get("line") for one in window.events("optimizer")}) > 1:
        return
    for step, fields in wirings(window):
        root = fields.get("root") or {}
        for one in root.get("terms") or (root,):
            if not one.get("signed") or int(one.get("elements") or 0) < at.elements:
                continue
            yield Finding(
                place="loss",
                message=Bilingual(
                    f"the loss is the {one.get('reduction')} of {one.get('elements')} plain differences of "
                    "outputs and constants: they cancel, and it has no lower bound",
                    f"损失是 {one.get('elements')} 个输出与常数之差的 {one.get('reduction')}："
                    "正负相互抵消，且没有下界",
                ),
                advice=Bilingual(
                    "take squares or absolute values: mse_loss or l1_loss",
                    "取平方或绝对值：mse_loss 或 l1_loss",
                ),
                steps=(step, step),
                known_at=step,
                source=given_line(fields),
                evidence=(
                    facts_evidence(
                        window,
                        "loss",
                        (step, step),
                        Bilingual("last operations of the loss", "损失的最后运算"),
                        **one,
                    ),
                ),
            )
            return


def _look(signed: bool, **fields: Any) -> Event:
    root = {"op": "Mean", "reduction": "mean", "factor": 1.0, "elements": 64, "of": [64], "signed": signed}
    return event("wiring", step=1, root=root | fields, file="t.py", line=3)


CASES = (
    fires("a mean of differences", place="loss", events=(_look(True),)),
    silent("squares", events=(_look(False),)),
    silent("one number", events=(_look(True, elements=1),)),
    silent(
        "a critic and a maker",
        events=(event("optimizer", line=1), event("optimizer", line=2), _look(True)),
    ),
)
