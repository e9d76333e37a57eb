"""The loss is a sum over the batch where the optimizer takes its gradient as it is.

Why it matters: the gradient, and with it the step, grows with the number of examples. A learning rate that
    fits one batch size is too high for another, and the last, smaller batch of an epoch weighs less.
How it decides: the last reduction in the graph of the loss, or of a term of it, is a sum over at least
    `examples` examples, with no constant factor in front. It is a warning if the optimizer is not adaptive
    and its rate times the number of examples, over what momentum leaves, reaches `rate`; else a note, since
    Adam and its like divide by the gradient's size.
When it is wrong: a learning rate that was chosen for the sum; it is small then, and the rule gives a note.
What to do: take the mean, or divide the sum by the number of examples.
Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2, on rate and batch size; the numbers
    are ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from unbug.detect.contract import (
    ADAPTIVE,
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
from unbug.detect.wired import given_line, number, wirings


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    examples: int = threshold(8, unit="examples", low=2, high=10**6, why="fewer change little")
    rate: float = threshold(
        0.5, unit="learning rate times examples", low=0.0, high=1e6, why="rates above 1 are rare for means"
    )


@detector(
    "L113",
    "summed-loss",
    chinese="损失求和而非平均",
    diagnoses=("loss-reduction",),
    events=("wiring", "optimizer"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, fields in wirings(window):
        whole = fields.get("root") or {}
        batch = int(number(fields.get("batch"), 0))
        sums = [one for one in whole.get("terms") or (whole,) if _sums(one, batch, at.examples)]
        if not sums:
            continue
        root = sums[0]
        rows = str(root.get("op")).startswith(("NllLoss", "Sum"))
        examples = int(root["of"][0]) if rows else prod(int(one) for one in root["of"])
        rate, adaptive, name = _rate(window, step)
        grave = not adaptive and rate * examples >= at.rate
        yield Finding(
            place="loss",
            message=Bilingual(
                f"the loss is summed over {examples} values and not divided by their number",
                f"损失对 {examples} 个数值求和，没有除以其数目",
            )
            + (
                Bilingual(
                    f": with {name} that is a learning rate of {rate * examples:.3g} for their mean",
                    f"：对 {name} 而言，相当于对平均损失使用 {rate * examples:.3g} 的学习率",
                )
                if grave
                else Bilingual()
            ),
            advice=Bilingual(
                "take the mean over the batch, or divide the sum by the number of examples",
                "对批取平均，或用求和除以样本数",
            ),
            severity=None if grave else Severity.NOTE,
            steps=(step, step),
            known_at=step,
            source=given_line(fields),
            evidence=(
                facts_evidence(
                    window,
                    "loss",
                    (step, step),
                    Bilingual("last reduction of the loss", "损失的最后一次归约"),
                    **dict(root),
                ),
            ),
        )
        return


def _sums(root: Mapping[str, Any], batch: int, least: int) -> bool:
    """Whether a loss, or a term of it, is a plain sum over examples."""
    shape = [int(one) for one in root.get("of") or ()]
    if (
        root.get("reduction") != "sum"
        or number(root.get("factor"), 0) != 1.0
        or not shape
        or shape[0] < least
    ):
        return False
    if root.get("op") != "Sum":
        return True
    return not batch or not shape[0] % batch or not batch % shape[0]


def _rate(window: Window, step: int) -> tuple[float, bool, str]:
    """Learning rate over what momentum leaves, of the optimizer known at a step; whether it is adaptive."""
    told = [one for one in window.events("optimizer") if one.step <= step]
    fields = told[0].fields if told else {}
    name = str(fields.get("class") or "")
    groups = [one for one in fields.get("groups") or () if isinstance(one, dict)]
    rates = [
        number(one.get("lr"), 0) / max(1 - number(one.get("momentum"), 0), 1e-3)
        for one in groups
        if not isinstance(one.get("lr"), str)
    ]
    return max(rates, default=0.0), name.rpartition(".")[2] in ADAPTIVE or not told, name


def _look(
    reduction: str = "sum", factor: float = 1.0, of: tuple[int, ...] = (50, 3), op: str = "Sum"
) -> Event:
    root = {"op": op, "reduction": reduction, "factor": factor, "of": list(of)}
    return event("wiring", step=1, root=root, batch=50, file="t.py", line=3)


def _composed(factor: float) -> Event:
    term = {"op": "Sum", "reduction": "sum", "factor": factor, "of": [50, 3]}
    root = {"op": "Add", "reduction": None, "factor": 1.0, "terms": [term]}
    return event("wiring", step=1, root=root, batch=50, file="t.py", line=3)


def _optimizer(kind: str, rate: float, momentum: float = 0.0) -> Event:
    fields: dict[str, Any] = {"class": kind, "groups": [{"lr": rate, "momentum": momentum}]}
    return event("optimizer", **fields)


CASES = (
    fires("SGD", place="loss", severity=Severity.WARNING, events=(_optimizer("SGD", 0.01), _look())),
    fires("momentum counts", severity=Severity.WARNING, events=(_optimizer("SGD", 0.001, 0.9), _look())),
    fires(
        "a rate that was chosen for it", severity=Severity.NOTE, events=(_optimizer("SGD", 0.009), _look())
    ),
    fires("Adam", severity=Severity.NOTE, events=(_optimizer("Adam", 0.1), _look())),
    fires("a term of the loss", severity=Severity.WARNING, events=(_optimizer("SGD", 0.01), _composed(1.0))),
    fires(
        "pixels",
        severity=Severity.WARNING,
        events=(_optimizer("SGD", 1e-3), _look(of=(16, 1, 8, 8), op="MseLoss")),
    ),
    silent("a weighted penalty", events=(_optimizer("SGD", 0.1), _composed(0.001))),
    silent("a mean", events=(_optimizer("SGD", 0.1), _look("mean"))),
    silent("divided by the batch", events=(_optimizer("SGD", 0.1), _look(factor=0.02))),
    silent("few examples", events=(_optimizer("SGD", 1.0), _look(of=(7,)))),
    silent("a sum over something else", events=(_optimizer("SGD", 1.0), _look(of=(64,)))),
)
