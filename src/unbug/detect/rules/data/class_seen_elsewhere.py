"""Nearly all training examples are of one class, while the evaluation has it no more often than others.

Why it matters: the model learns to say this class; the others, which it is measured by, it hardly met.
How it decides: at the end of a training whose loss does not weigh classes, one class has at least `majority`
    of the training labels, and at most `elsewhere` of at least `rows` labels of the evaluation, where the
    other classes are at least `rarer` times as frequent: in its loss calls, where the model then also misses
    the others more often (by `recall`), or in the batches that a probe kept of it, whose labels go with
    their inputs (`apart`).
When it is wrong: benchmarks of long tails that are balanced in the evaluation on purpose and answer it with a
    loss of their own.
What to do: look at how training examples are filtered and drawn; weigh classes in the loss, or draw the rare
    ones more often (`WeightedRandomSampler`).
Source: He and Garcia 2009, "Learning from Imbalanced Data"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
    probed,
    silent,
    threshold,
)
from unbug.detect.given import answers, numbers, told_at


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    majority: float = threshold(0.85, unit="of the training labels", low=0.5, high=1.0, why="5 to 1 and more")
    elsewhere: float = threshold(
        0.75, unit="of the evaluation's labels", low=0.05, high=0.9, why="above, both have a frequent class"
    )
    rarer: float = threshold(
        4.0, unit="times", low=1.5, high=100, why="other classes, less frequent by so much"
    )
    rows: int = threshold(40, unit="labels", low=10, high=10**6, why="a share is known to 0.08")
    recall: float = threshold(0.2, unit="of the examples", low=0.0, high=1.0, why="noise of 40 labels")
    apart: float = threshold(5.0, unit="deviations of chance", low=3, high=100, why="as for D131")


@detector(
    "D134",
    "class-seen-elsewhere",
    chinese="训练类别比例与评估不同",
    diagnoses=("class-imbalance",),
    events=("answers", "probe"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    trained = answers(window, "train")
    if not trained or any(fields.get("weighted") for _, fields in trained):
        return
    step, fields = trained[-1]
    counts = numbers(fields, "counts")
    if len(counts) < 2 or counts.sum() < at.rows or counts.max() < at.majority * counts.sum():
        return
    most = int(counts.argmax())
    share = float(counts.max() / counts.sum())
    there = _evaluated(window, most, len(counts), at)
    if there is None or (counts > 0).sum() < 2 or (1 - share) * at.rarer > 1 - there:
        return
    yield Finding(
        place="data",
        message=Bilingual(
            f"class {most} has {share:.0%} of the training labels, but {there:.0%} of the evaluation's",
            f"类别 {most} 占训练标签的 {share:.0%}，而在评估集中只占 {there:.0%}",
        ),
        advice=Bilingual(
            "look at how training examples are filtered and drawn; weigh the classes, or draw rare ones more "
            "often",
            "检查训练样本的筛选与采样方式；为类别加权，或更多地采样稀有类别",
        ),
        steps=(0, step),
        known_at=step,
        source=told_at(fields),
        evidence=(
            facts_evidence(
                window,
                "data",
                (0, step),
                Bilingual("labels by class", "各类别的标签"),
                training=[int(one) for one in counts[:64]],
                evaluation_share=there,
            ),
        ),
    )


def _evaluated(window: Window, most: int, classes: int, at: Thresholds) -> float | None:
    """The share of that class in the evaluation, if it is much smaller there."""
    for _, fields in reversed(answers(window, "eval")):
        counts, wanted, right = (numbers(fields, name) for name in ("counts", "wanted", "right"))
        if (
            len(counts) != classes
            or counts.sum() < at.rows
            or len(wanted) != classes
            or len(right) != classes
        ):
            continue
        share, others = float(counts[most] / counts.sum()), wanted.sum() - wanted[most]
        if share > at.elsewhere or others <= 0 or wanted[most] <= 0:
            return None
        missed = right[most] / wanted[most] - (right.sum() - right[most]) / others
        return share if missed >= at.recall else None
    for _, found in probed(window, "targets"):
        told, rows = found.get("evaluated_of_majority"), int(found.get("evaluated_rows") or 0)
        if told is None or rows < at.rows or (found.get("evaluated_errors") or 0.0) < at.apart:
            continue
        if told <= at.elsewhere and (found.get("majority") or 0.0) >= at.majority:
            return float(told)
    return None


def _told(phase: Phase, counts: list[int], right: list[int] | None = None, **more: Any) -> Event:
    fields: dict[str, Any] = {
        "classes": len(counts),
        "counts": counts,
        "wanted": counts,
        "right": right or counts,
    }
    return event("answers", step=40, phase=phase, file="t.py", line=9, **{**fields, **more})


_TRAINED = _told(Phase.TRAIN, [950, 25, 25])
_PROBED = event(
    "probe", step=40, probe="targets", majority=0.95, evaluated_of_majority=0.3, evaluated_rows=100,
    evaluated_errors=9.0,
)  # fmt: skip
CASES = (
    fires(
        "others are missed", place="data", events=(_TRAINED, _told(Phase.EVAL, [40, 30, 30], [40, 10, 20]))
    ),
    fires("labels that a probe kept", events=(_TRAINED, _PROBED)),
    silent("others are found, too", events=(_TRAINED, _told(Phase.EVAL, [40, 30, 30], [36, 25, 25]))),
    silent("rare in both", events=(_TRAINED, _told(Phase.EVAL, [95, 3, 2], [95, 0, 0]))),
    silent("classes alike", events=(_told(Phase.TRAIN, [400, 300, 300]), _PROBED)),
    silent("weighted", events=(_told(Phase.TRAIN, [950, 25, 25], weighted=True), _PROBED)),
    silent("no evaluation", events=(_TRAINED,)),
    silent("few labels", events=(_TRAINED, _told(Phase.EVAL, [13, 13, 13], [13, 0, 0]))),
    silent(
        "not so much rarer",
        events=(_told(Phase.TRAIN, [860, 70, 70]), _told(Phase.EVAL, [70, 15, 15], [70, 0, 0])),
    ),
    silent("one class", events=(_told(Phase.TRAIN, [950, 0, 0]), _PROBED)),
)
