"""In a loss written by hand, predictions and targets have shapes that broadcast against each other.

Why it matters: `(N, 1)` against `(N,)` compares every prediction with every target. The best answer to that
    is the mean of the targets, and that is what the model learns. PyTorch warns of it in its own losses
    alone.
How it decides: between the last weights and the loss, a prediction of shape `(N, 1)` or `(N,)` meets
    numbers without gradient, and the result has the shape `(N, N)`.
When it is wrong: all pairs of predictions and targets, compared on purpose.
What to do: give both the same shape: `prediction.squeeze(1)`, or `target.unsqueeze(1)`.
Source: PyTorch broadcasting semantics.
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
    rows: int = threshold(2, unit="rows", low=2, high=10**6, why="one row broadcasts to itself")


@detector(
    "L117",
    "broadcasting-by-hand",
    chinese="手写损失发生广播",
    diagnoses=("loss-broadcast",),
    events=("wiring",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.92,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for fact in wired(window, "spread_out"):
        given, made = fact.item.get("given"), fact.item.get("made")
        if not isinstance(made, list) or made[0] < at.rows:
            continue
        yield Finding(
            place="loss",
            message=Bilingual(
                f"predictions of shape {shape_text(given)} meet targets whose shape makes the result "
                f"{shape_text(made)}: each is compared with all",
                f"形状 {shape_text(given)} 的预测与目标相遇得到 {shape_text(made)}：每个预测都与全部目标比较",
            ),
            advice=Bilingual(
                "give both the same shape, e.g. prediction.squeeze(1) or target.unsqueeze(1)",
                "让二者形状一致，例如 prediction.squeeze(1) 或 target.unsqueeze(1)",
            ),
            steps=(fact.step, fact.step),
            known_at=fact.step,
            source=fact.loss,
            evidence=(
                fact_evidence(window, fact, Bilingual("shapes in the graph", "计算图中的形状"), place="loss"),
            ),
        )
        return


def _look(given: list[int], made: list[int]) -> Event:
    item = {"place": "out", "op": "Sub", "given": given, "made": made}
    return event("wiring", step=1, spread_out=[item], file="t.py", line=3)


CASES = (
    fires("(N, 1) against (N,)", place="loss", events=(_look([32, 1], [32, 32]),)),
    silent("one row", events=(_look([1, 1], [1, 1]),)),
    silent("nothing of it", events=(event("wiring", step=1, spread_out=[]),)),
)
