"""Almost all units of a ReLU are zero for every example, whatever way the ReLU is called.

Why it matters: a unit that is zero for all examples gets no gradient and cannot recover.
How it decides: in the graph of the loss, at `looks` looks in a row (after 1, 2, 4, 8 … steps), at least
    `units` of the units of a hidden ReLU are zero for all examples of the batch, and at least `zeros` of all
    its values. If it was so at the first look, the layer was made like that, else updates did it.
When it is wrong: layers that are sparse by design; batches of very few examples are left out.
What to do: start the biases at or above zero; lower the learning rate where they died later.
Source: Lu et al. 2019, "Dying ReLU and Initialization", arXiv:1903.06733, for the mechanism; the numbers are
    ours.
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
from unbug.detect.flatness import flatness


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    units: float = threshold(0.9, unit="of the units", low=0.3, high=1.0, why="healthy: below 0.5")
    zeros: float = threshold(0.97, unit="of the values", low=0.5, high=1.0, why="healthy: below 0.8")
    looks: int = threshold(3, unit="looks", low=1, high=20, why="outlasts an odd batch")


@detector(
    "A131",
    "dead-units",
    chinese="ReLU 单元失活",
    diagnoses=("dead-relu", "bad-init"),
    events=("flat",),
    severity=Severity.WARNING,
    since="0.4",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for one in flatness(window):
        start = one.first(at.units, at.looks, of="dead") if one.op == "Relu" else None
        if start is None or min(one.flat[start : start + at.looks]) < at.zeros:
            continue
        part = slice(start, start + at.looks)
        share, known_at, born = min(one.dead[part]), one.steps[part][-1], start == 0 and one.steps[0] <= 4
        yield Finding(
            place=one.place,
            message=Bilingual(
                f"{share:.0%} of the units of the ReLU behind {one.place} are zero for all examples, at "
                f"{at.looks} looks in a row (limit {at.units:.0%})",
                f"{one.place} 之后的 ReLU 有 {share:.0%} 的单元对所有样本都输出零，"
                f"连续 {at.looks} 次查看均如此（阈值 {at.units:.0%}）",
            )
            + (Bilingual(", from the start", "，从一开始就如此") if born else ""),
            advice=Bilingual(
                "start the biases of the layer before it at or above zero", "把前一层的偏置初始化为零或正值"
            )
            if born
            else Bilingual(
                "lower the learning rate, or use LeakyReLU or GELU", "降低学习率，或改用 LeakyReLU、GELU"
            ),
            diagnoses=("dead-relu", "bad-init") if born else ("dead-relu", "lr-too-high"),
            steps=(one.steps[start], known_at),
            known_at=known_at,
            weight=share,
            evidence=(
                facts_evidence(
                    window,
                    one.place,
                    (one.steps[start], known_at),
                    Bilingual("share of dead units, by step", "各步的失活单元占比"),
                    dead={str(s): d for s, d in zip(one.steps[part], one.dead[part], strict=True)},
                ),
            ),
        )


def _looks(*shares: float, zeros: float = 0.99, op: str = "Relu", first: int = 0) -> tuple[Event, ...]:
    def item(dead: float) -> dict[str, Any]:
        return {"after": "fc.weight", "op": op, "hidden": True, "gate": False, "flat": zeros, "dead": dead}

    return tuple(event("flat", step=2 ** (n + first), items=[item(dead)]) for n, dead in enumerate(shares))


CASES = (
    fires(
        "exactly at the share", place="fc", diagnoses=("dead-relu", "bad-init"), events=_looks(0.9, 0.9, 0.9)
    ),
    fires("it died later", diagnoses=("dead-relu", "lr-too-high"), events=_looks(0.1, 1.0, 1.0, 1.0)),
    silent("just under it", events=_looks(0.9, 0.89, 0.9)),
    silent("two looks", events=_looks(1.0, 1.0)),
    silent("few examples, but many values", events=_looks(0.95, 0.95, 0.95, zeros=0.96)),
    silent("no ReLU", events=_looks(1.0, 1.0, 1.0, op="Tanh")),
)
