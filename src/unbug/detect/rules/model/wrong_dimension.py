"""A softmax or a normalisation runs over the wrong dimension.

Why it matters: over the examples of a batch, each example's output depends on the others', and
    probabilities of one example sum to anything. Over a dimension of one element softmax is 1 whatever goes
    in. Over queries in place of keys the weights of a sum do not sum to 1.
How it decides: in the graph of the loss a softmax between the last weights and the loss runs over the first
    dimension, which is as long as the batch, and not of a square; or over a dimension of one element; or
    its result is summed by a matrix product over another dimension than its own; or vectors are divided by
    their norm over the batch.
When it is wrong: competition among queries or examples that is meant, as in slot attention.
What to do: name the dimension of the classes, of the keys, of the features: mostly `dim=-1`.
Source: PyTorch documentation of `softmax` and `normalize`; the mechanism needs no number.
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
    fires,
    silent,
    threshold,
)
from unbug.detect.wired import Fact, fact_evidence, shape_text, wired


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    size: int = threshold(2, unit="elements", low=2, high=1000, why="over one there is nothing to share")


@detector(
    "M108",
    "wrong-dimension",
    chinese="维度错误",
    diagnoses=("wrong-dim",),
    events=("wiring",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.88,
    explains=("causal-mask-leak",),
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told: set[tuple[str, ...]] = set()
    for fact in (*wired(window, "softmaxes"), *wired(window, "norms")):
        said = _said(fact, at)
        key = fact.place, str(fact.item.get("op") or ""), str(fact.item.get("dim"))
        if said is None or key in told:
            continue
        told.add(key)
        single = bool(fact.item.get("single"))
        yield Finding(
            place=fact.place or "loss",
            message=said,
            advice=Bilingual(
                "give one output a sigmoid, or the softmax two outputs or more",
                "单个输出应使用 sigmoid，或让 softmax 有两个以上的输出",
            )
            if single
            else Bilingual(
                "name the dimension that is meant, mostly dim=-1", "指定所需的维度，通常是 dim=-1"
            ),
            diagnoses=("output-activation-mismatch", "wrong-dim") if single else None,
            severity=None if "op" in fact.item else Severity.WARNING,
            steps=(fact.step, fact.step),
            known_at=fact.step,
            source=fact.source or fact.loss,
            evidence=(fact_evidence(window, fact, Bilingual("operation in the graph", "计算图中的运算")),),
        )


def _said(fact: Fact, at: Thresholds) -> Bilingual | None:
    item = fact.item
    shape, dim = [int(one) for one in item.get("shape") or ()], int(item.get("dim") or 0)
    name, sizes = str(item.get("op") or "a norm").lower(), shape_text(shape)
    if "op" not in item:
        return Bilingual(
            f"vectors of shape {sizes} are divided by a norm over dimension {dim}, the examples of the batch",
            f"形状 {sizes} 的向量除以沿维度 {dim}（批内样本）的范数",
        )
    if item.get("single"):
        if not item.get("in_loss") or name != "softmax":
            return None  # the rule on targets of cross_entropy says the other
        return Bilingual(
            f"{name} runs over dimension {dim} of {sizes}, which has one element: its output is constant",
            f"{name} 沿 {sizes} 的维度 {dim} 计算，而该维只有一个元素：输出恒定不变",
        )
    if item.get("summed") is not None and shape[dim] >= at.size:
        summed = int(item["summed"])
        return Bilingual(
            f"{name} runs over dimension {dim} of {sizes}, and the product behind it sums over dimension "
            f"{summed}: the weights of a sum do not sum to 1",
            f"{name} 沿 {sizes} 的维度 {dim} 计算，而其后的乘积沿维度 {summed} 求和：加权和的权重之和不为 1",
        )
    if item.get("classes") is not None and item.get("in_loss"):
        return Bilingual(
            f"{name} runs over dimension {dim} of {sizes}, and the loss behind it takes dimension "
            f"{int(item['classes'])} for the classes",
            f"{name} 沿 {sizes} 的维度 {dim} 计算，而其后的损失以维度 {int(item['classes'])} 为类别",
        )
    square = len(shape) == 2 and shape[0] == shape[1]
    if item.get("over_batch") and item.get("in_loss") and not square:
        return Bilingual(
            f"{name} runs over dimension {dim} of {sizes}, the examples of the batch",
            f"{name} 沿 {sizes} 的维度 {dim} 计算，即批内的样本",
        )
    return None


def _look(**fields: Any) -> Event:
    item = {"place": "head", "op": "Softmax", "dim": 0, "shape": [32, 5], "in_loss": True}
    more = {"over_batch": False, "single": False, "summed": None, "classes": None}
    return event("wiring", step=1, softmaxes=[item | more | fields], file="t.py", line=3)


_NORM = {"place": "enc", "shape": [32, 16], "dim": 0}
CASES = (
    fires("over the batch", place="head", events=(_look(over_batch=True),), diagnoses=("wrong-dim",)),
    fires(
        "over one element",
        events=(_look(single=True, shape=[32, 1], dim=1),),
        diagnoses=("output-activation-mismatch", "wrong-dim"),
    ),
    fires("not over the classes", events=(_look(classes=1, shape=[32, 32]),)),
    fires("over queries", events=(_look(dim=1, shape=[8, 6, 6], summed=2, in_loss=False),)),
    fires("a norm", severity=Severity.WARNING, events=(event("wiring", step=1, norms=[_NORM]),)),
    silent("over the nodes of one graph", events=(_look(over_batch=True, in_loss=False),)),
    silent("both ways in a contrastive loss", events=(_look(over_batch=True, shape=[32, 32]),)),
    silent("a sequence of one token", events=(_look(single=True, in_loss=False, shape=[4, 1, 1], dim=2),)),
    silent("as it should be", events=(event("wiring", step=1, softmaxes=[], norms=[]),)),
)
