"""A sigmoid or softmax is applied to what a sigmoid or softmax gave.

Why it matters: the second one maps [0, 1] to a narrow band, such as [0.5, 0.73]. No output can be near 0 or
    1, the loss has a floor far above zero, and gradients are small everywhere.
How it decides: in the graph of the loss the input of a `sigmoid`, `softmax` or `log_softmax` is the output
    of another one, with nothing but changes of shape between them and, of two softmaxes, over the same
    dimension. A pair with a softmax counts between the last weights and the loss alone.
When it is wrong: a second softmax that is meant as a temperature or a gate.
What to do: apply it once: in the model or in the loss.
Source: PyTorch documentation of `BCELoss`, `NLLLoss` and `CrossEntropyLoss` on what each expects.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
from unbug.detect.wired import Fact, fact_evidence, wired


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    looks: int = threshold(1, unit="looks at the graph", low=1, high=3, why="an operation is there or not")


@detector(
    "L105",
    "squashed-twice",
    chinese="重复使用 sigmoid 或 softmax",
    diagnoses=("double-sigmoid",),
    events=("wiring", "loss_call"),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.92,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told: set[tuple[str, str, str]] = set()
    for fact in wired(window, "squashed_twice"):
        key = fact.place, str(fact.item.get("outer")), str(fact.item.get("inner"))
        if key in told or not _counts(fact) or _said_by_its_loss(window, fact):
            continue
        told.add(key)
        outer, inner = (str(fact.item.get(name)).lower() for name in ("outer", "inner"))
        softmax = fact.item.get("inner") == "Softmax"
        where = Bilingual(fact.place) if fact.place else Bilingual("the model", "模型")
        mixed = key[1] == "LogSoftmax" and not softmax
        yield Finding(
            place="loss" if fact.item.get("in_loss") else fact.place or "loss",
            message=Bilingual(
                f"{outer} is applied to the output of a {inner}, behind {where}",
                f"在 {where.zh} 之后，{outer} 作用于 {inner} 的输出",
            ),
            advice=Bilingual(
                "apply it once, either in the model or in the loss", "只使用一次：在模型中，或在损失中"
            ),
            diagnoses=("softmax-before-ce",)
            if softmax
            else ("output-activation-mismatch", "double-sigmoid")
            if mixed
            else None,
            steps=(fact.step, fact.step),
            known_at=fact.step,
            source=fact.source or fact.loss,
            evidence=(
                fact_evidence(
                    window, fact, Bilingual("operations in the graph of the loss", "损失计算图中的运算")
                ),
            ),
        )


def _counts(fact: Fact) -> bool:
    item = fact.item
    if item.get("outer") == "LogSigmoid" and item.get("inner") == "Softmax":
        return False
    if "Softmax" not in f"{item.get('outer')} {item.get('inner')}":
        return True
    both = "Softmax" in str(item.get("outer")) and item.get("inner") == "Softmax"
    return bool(item.get("in_loss")) and (not both or item.get("dim") == item.get("inner_dim"))


def _said_by_its_loss(window: Window, fact: Fact) -> bool:
    """Whether the outer one is in a loss function that another rule watches the input of."""
    if fact.item.get("outer") != "LogSoftmax":
        return False
    sites = trained_sites(window.head(fact.step + 1), "cross_entropy")
    return any(profile.get("input_op") == fact.item.get("inner") for s in sites for _, profile in s.profiles)


def _look(outer: str, inner: str, step: int = 1, **fields: object) -> Event:
    item = {"place": "out", "outer": outer, "inner": inner, "in_loss": True, "dim": 1, "inner_dim": 1}
    return event("wiring", step=step, squashed_twice=[item | fields], file="t.py", line=9)


_CALL = event("loss_call", function="cross_entropy", file="t.py", line=9, input_op="Softmax")
CASES = (
    fires("two sigmoids", place="loss", events=(_look("Sigmoid", "Sigmoid"),), diagnoses=("double-sigmoid",)),
    fires(
        "two softmaxes",
        events=(_look("LogSoftmax", "Softmax"), _look("LogSoftmax", "Softmax", 2)),
        diagnoses=("softmax-before-ce",),
    ),
    fires(
        "two sigmoids inside",
        place="out",
        events=(_look("Sigmoid", "Sigmoid", in_loss=False),),
    ),
    silent("softmax over other dimensions", events=(_look("Softmax", "Softmax", inner_dim=0),)),
    silent("a softmax of gates inside the network", events=(_look("Softmax", "Sigmoid", in_loss=False),)),
    silent("the rule for cross_entropy says it", events=(_CALL, _look("LogSoftmax", "Softmax"))),
    silent("nothing of it", events=(event("wiring", step=1, squashed_twice=[]),)),
)
