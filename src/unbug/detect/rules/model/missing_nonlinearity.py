"""Two linear layers follow each other with no activation between them.

Why it matters: together they are one linear layer. The second adds parameters and cost, but no capacity: a
    network of them can only draw straight lines.
How it decides: in the graph of the loss the output of a linear layer or convolution goes, with nothing
    between but changes of shape, BatchNorm or dropout and to no one else, into another one; and the width
    between them is no bottleneck, at least the smaller of what goes in and what comes out. Convolutions in
    groups, the output projection of attention, and layers whose output is cut into parts (queries, keys,
    values) are left out. Where only one pair is found, and the layers lie in two parts of the network, one
    part may end without an activation on purpose: a note.
When it is wrong: linear networks that are studied as such; layers kept apart to be replaced or adapted one
    by one.
What to do: put an activation such as ReLU or GELU between them, or merge them into one.
Source: Goodfellow et al. 2016, "Deep Learning", section 6.1, on why hidden units are not linear.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    event,
    fires,
    silent,
    threshold,
)
from unbug.detect.wired import Fact, fact_evidence, wired


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    width: float = threshold(
        1.0, unit="of the smaller of inputs and outputs", low=0.1, high=10.0, why="less is a bottleneck"
    )


@detector(
    "M107",
    "missing-nonlinearity",
    chinese="缺少非线性激活",
    diagnoses=("missing-nonlinearity",),
    events=("wiring",),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told: set[tuple[str, str]] = set()
    found = [one for one in wired(window, "linear_pairs") if _redundant(one.item, at.width)]
    for fact in found:
        item = fact.item
        first, second = str(item.get("first")), str(item.get("second"))
        if (first, second) in told:
            continue
        told.add((first, second))
        through = [str(one) for one in item.get("through") or ()]
        between = (
            Bilingual(f" but {', '.join(through)}", f"（除 {', '.join(through)} 外）")
            if through
            else Bilingual()
        )
        yield Finding(
            place=first,
            message=Bilingual(
                f"{second} takes the output of {first} with no activation between them{between}: the two are "
                "one linear layer",
                f"{second} 直接接收 {first} 的输出，其间没有激活函数{between.zh}：两者等价于一个线性层",
            ),
            advice=Bilingual(
                f"put an activation, such as ReLU, behind {first}", f"在 {first} 之后加入 ReLU 等激活函数"
            ),
            severity=Severity.NOTE
            if (_lonely(found, fact.step) and _apart(first, second)) or _adapter(window, item)
            else None,
            steps=(fact.step, fact.step),
            known_at=fact.step,
            weight=-float(len(told)),
            evidence=(
                fact_evidence(window, fact, Bilingual("layers in the graph", "计算图中的层"), place=second),
            ),
        )


def _lonely(found: list[Fact], step: int) -> bool:
    """Whether only one pair was seen by a step."""
    return len({(one.item.get("first"), one.item.get("second")) for one in found if one.step <= step}) == 1


def _adapter(window: Window, item: Mapping[str, Any]) -> bool:
    """Whether the two are parameters of one part of the network, as narrow as can be: those of an adapter."""
    parameters = {place.path for place in window.places if place.kind == "parameter"}
    first, second = str(item.get("first")), str(item.get("second"))
    narrow = int(item.get("width") or 0) <= min(int(item.get("in") or 0), int(item.get("out") or 0))
    return narrow and "." in first and {first, second} <= parameters and not _apart(first, second)


def _apart(first: str, second: str) -> bool:
    """Whether two layers lie in different parts of the network."""
    return first.rpartition(".")[0] != second.rpartition(".")[0]


def _redundant(item: Mapping[str, Any], width: float) -> bool:
    sizes = int(item.get("in") or 0), int(item.get("out") or 0)
    if min(sizes) < 1 or int(item.get("groups") or 1) > 1:
        return False
    if item.get("after_attention") or item.get("into_parts"):
        return False
    return int(item.get("width") or 0) >= width * min(sizes)


def _look(into: int, width: int, out: int, **fields: Any) -> Event:
    item = {"first": "fc1", "second": "fc2", "in": into, "width": width, "out": out, "groups": 1}
    return event("wiring", step=1, linear_pairs=[item | {"through": []} | fields])


CASES = (
    fires("a wide one", place="fc1", events=(_look(16, 64, 10),)),
    fires(
        "the factors of an adapter",
        severity=Severity.NOTE,
        places=tuple(Place(path=f"fc.{one}", kind="parameter", order=0) for one in "ab"),
        events=(_look(16, 4, 4, first="fc.a", second="fc.b"),),
    ),
    fires("just no bottleneck", events=(_look(16, 10, 10),)),
    fires("BatchNorm between", events=(_look(16, 64, 10, through=["BatchNorm"]),)),
    fires(
        "between two parts",
        severity=Severity.NOTE,
        events=(_look(16, 64, 10, first="encoder.0", second="head.0"),),
    ),
    fires(
        "between two blocks, and two more",
        severity=Severity.WARNING,
        events=(
            event(
                "wiring",
                step=1,
                linear_pairs=[
                    {
                        "first": f"blocks.{n}.fc",
                        "second": f"blocks.{n + 1}.fc",
                        "in": 16,
                        "width": 16,
                        "out": 16,
                    }
                    for n in range(2)
                ],
            ),
        ),
    ),
    silent("a bottleneck: a product of low rank", events=(_look(64, 15, 16),)),
    silent("a depthwise convolution", events=(_look(16, 64, 10, groups=16),)),
    silent("behind attention", events=(_look(16, 64, 10, after_attention=True),)),
    silent("queries, keys and values", events=(_look(16, 64, 192, into_parts=True),)),
)
