"""A view gives the elements of one dimension to another.

Why it matters: `view` and `reshape` only cut memory anew; they do not move dimensions. The result has the
    wanted shape and parts of different examples, time steps or channels in each row, so that labels no
    longer belong to what they stand beside.
How it decides: in the graph of the loss a view swaps sizes, as from `(batch, time, features)` to `(batch,
    features, time)`; or its cuts lie across the old ones, so that neither dimensions are split nor merged;
    or the examples of the batch were the second dimension and become the first while others are merged.
When it is wrong: memory that is cut anew on purpose, as in the shift of relative positions, which is left
    out for neighbouring sizes.
What to do: use `transpose` or `permute` first, then `reshape`; or `batch_first=True`.
Source: PyTorch documentation of `Tensor.view` and `permute`; A. Karpathy 2018, "most common neural net
    mistakes" (view is not permute).
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
)
from unbug.detect.wired import fact_evidence, shape_text, wired


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    elements: int = threshold(4, unit="elements", low=1, high=10**6, why="tiny shapes swap by chance")


@detector(
    "M109",
    "mixing-view",
    chinese="view 打乱了维度",
    diagnoses=("shape-mixup",),
    events=("wiring",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told: set[str] = set()
    for fact in wired(window, "views"):
        before, after = fact.item.get("before") or [], fact.item.get("after") or []
        size = 1
        for one in after:
            size *= int(one)
        key = f"{fact.place} {fact.source}"
        if key in told or size < at.elements:
            continue
        told.add(key)
        swap = fact.item.get("kind") == "swap"
        yield Finding(
            place=fact.place or "loss",
            message=Bilingual(
                f"a view makes {shape_text(after)} of {shape_text(before)}, which mixes their dimensions",
                f"view 把 {shape_text(before)} 变成 {shape_text(after)}，打乱了各维度的内容",
            ),
            advice=Bilingual(
                "move dimensions with transpose or permute in place of view",
                "用 transpose 或 permute 移动维度，而不是 view",
            )
            if swap
            else Bilingual(
                "bring the dimensions into order with transpose or permute before the view",
                "在 view 之前先用 transpose 或 permute 调整维度顺序",
            ),
            confidence=None if swap else 0.82,
            steps=(fact.step, fact.step),
            known_at=fact.step,
            source=fact.source,
            evidence=(fact_evidence(window, fact, Bilingual("shapes in the graph", "计算图中的形状")),),
        )


def _look(before: list[int], after: list[int], kind: str) -> Event:
    item = {"place": "conv", "before": before, "after": after, "kind": kind, "file": "t.py", "line": 12}
    return event("wiring", step=1, views=[item])


CASES = (
    fires("sizes that change places", place="conv", events=(_look([32, 10, 16], [32, 16, 10], "swap"),)),
    fires("time before batch", events=(_look([10, 32, 16], [32, 160], "cut"),)),
    silent("a tiny shape", events=(_look([1, 3], [3, 1], "swap"),)),
    silent("nothing of it", events=(event("wiring", step=1, views=[]),)),
)
