"""What the model says of one example depends on the other examples in its batch.

Why it matters: the model computes across the batch what it should compute within an example: a softmax,
    mean or normalisation over dimension 0, attention that takes the batch for the sequence, or a `view` where
    a transpose was meant. It learns little, and its answers change with what else is asked.
How it decides: a probe at the end of the program, on a copy in evaluation mode: one example is replaced, and
    `share` of the others' outputs change, by `change` standard deviations or more. Only where it is
    certain which dimension counts examples, and that batches are drawn anew: rows come again in other
    company, or a data loader put them together.
When it is wrong: models whose examples are meant to see each other: graphs, sets without a batch dimension,
    minibatch discrimination. Inputs or outputs with a number for each pair of examples, and layers that
    normalise by the batch on purpose, are left alone.
What to do: look at the named module: the dimension of its softmax, mean or norm, `batch_first` of its
    attention or recurrent layers, and each `view` or `reshape` (which never swaps dimensions).
Source: the probe is ours; Karpathy 2019, "A Recipe for Training Neural Networks" ("use backprop to chart
    dependencies"), for the idea.
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
    module_place,
    probed,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.01, unit="fraction of the other examples", low=0.0, high=1.0, why="a healthy model changes none"
    )
    change: float = threshold(
        0.001,
        unit="standard deviations of the output",
        low=0.0001,
        high=10,
        why="ten times what rounding does",
    )
    examples: int = threshold(
        3, unit="examples", low=2, high=10_000, why="of two, one may be told from the other by rounding"
    )


@detector(
    "M121",
    "batch-mixed-up",
    chinese="批内样本相互混杂",
    diagnoses=("wrong-dim", "shape-mixup"),
    events=("probe",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "other-examples"):
        dim = found.get("batch_dim")
        if dim is None or found.get("square") or found.get("batch_statistics") or found.get("others_apart"):
            continue
        share, change = float(found.get(f"mixed_{dim}") or 0), float(found.get(f"change_{dim}") or 0)
        if share < at.share or change < at.change or int(found.get("examples") or 0) < at.examples:
            continue
        drawn = bool(found.get("recombined") or found.get("collated")) and found.get("batches_differ")
        model = str(found.get("model") or "")
        place, source = module_place(window, str(found.get("module") or ""), otherwise=model or "model")
        kind = str(found.get("class_name") or model)
        attention = "Attention" in kind or "Transformer" in kind
        yield Finding(
            place=place,
            severity=None if drawn else Severity.NOTE,
            message=Bilingual(
                f"the examples of a batch are mixed up, first in {kind}: with one replaced, the outputs of"
                f" {share:.0%} of the others change",
                f"批内样本相互混杂（首先在 {kind} 中）：替换其中一个，其余有 {share:.0%} 的输出改变",
            ),
            advice=Bilingual(
                "set batch_first=True, or hand the sequence first: attention runs over dimension 0",
                "设置 batch_first=True，或把序列维放在最前：注意力作用在第 0 维上",
            )
            if attention
            else Bilingual(
                "look for a softmax, mean or norm over dimension 0, or a view where a transpose is meant",
                "检查是否在第 0 维上做了 softmax、均值或归一化，或在需要转置处用了 view",
            ),
            diagnoses=("shape-mixup", "wrong-dim") if attention else None,
            steps=(0, step),
            known_at=step,
            source=source,
            evidence=(
                facts_evidence(
                    window,
                    place,
                    (0, step),
                    Bilingual("one example was replaced by another", "用另一个样本替换了一个样本"),
                    examples=found.get("examples"),
                    share_of_others_changed=round(share, 4),
                    largest_change_in_deviations=round(change, 4),
                    batch_dimension_told_by=found.get("told_by"),
                ),
            ),
        )


def _result(share: float, change: float, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "possible": True, "model": "Net", "examples": 32, "batch_dim": 0, "told_by": "as many targets",
        "recombined": True, "batches_differ": True, "square": False, "batch_statistics": [],
        "others_apart": False, "mixed_0": share, "change_0": change, "mixed_1": 1.0, "change_1": 1.0,
    }  # fmt: skip
    return event("probe", step=99, probe="other-examples", **{**given, **fields})


CASES = (
    fires("every other example changes", severity=Severity.ERROR, events=(_result(1.0, 0.7),)),
    fires("exactly at both thresholds", place="Net", events=(_result(0.01, 0.001),)),
    fires(
        "attention over the batch",
        diagnoses=("shape-mixup", "wrong-dim"),
        events=(_result(1.0, 0.5, class_name="MultiheadAttention"),),
    ),
    fires("rows never come again: a note", severity=Severity.NOTE,
          events=(_result(1.0, 0.5, recombined=False),)),
    silent("examples are apart", events=(_result(0.0, 0.0),)),
    silent("a change as small as rounding", events=(_result(1.0, 0.0009),)),
    silent("a layer normalises by the batch", events=(_result(1.0, 0.5, batch_statistics=["BatchNorm1d"]),)),
    silent("similarities of all pairs", events=(_result(1.0, 0.5, square=True),)),
    silent("a graph: edges come along", events=(_result(1.0, 0.5, others_apart=True),)),
    silent("positions first, examples second", events=(_result(1.0, 0.5, batch_dim=1, mixed_1=0.0),)),
    silent("which dimension counts examples is unknown", events=(_result(1.0, 0.5, batch_dim=None),)),
    silent("two examples", events=(_result(1.0, 0.5, examples=2),)),
)  # fmt: skip
