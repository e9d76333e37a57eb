"""Each training batch holds one class only, while the data have several.

Why it matters: the model is pulled to one class after another and forgets the one before; the loss is a
    saw-tooth.
How it decides: in `patience` consecutive recorded training batches the labels of at least `labels` examples
    are all equal, and over these batches at least two classes were seen.
When it is wrong: batches that are put together by class on purpose (some metric learning).
What to do: shuffle: `DataLoader(…, shuffle=True)`.
Source: Humbatova et al. 2020, "Taxonomy of real faults in deep learning systems", on missing shuffling;
    both numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
    silent,
    threshold,
)
from unbug.detect.dataline import loader_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(
        5, unit="recorded batches", low=2, high=1000, why="never by chance in shuffled data"
    )
    labels: int = threshold(8, unit="examples", low=2, high=1000, why="small batches of one class are usual")


@detector(
    "D101",
    "one-class-batches",
    chinese="批次只含一类",
    diagnoses=("unshuffled-data",),
    events=("batch",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    in_a_row: list[tuple[int, int]] = []
    for seen in window.events("batch"):
        label = _only_label(seen, at.labels)
        if label is None:
            continue
        in_a_row = [*in_a_row, (max(seen.step, 0), label)] if label >= 0 else []
        classes = {one for _, one in in_a_row}
        if len(in_a_row) < at.patience or len(classes) < 2:
            continue
        since, known_at = in_a_row[0][0], in_a_row[-1][0]
        yield Finding(
            place="data",
            message=Bilingual(
                f"each of {len(in_a_row)} recorded training batches in a row holds one class only, "
                f"{len(classes)} classes in all",
                f"连续 {len(in_a_row)} 个记录的训练批次各自只含一个类别，合计 {len(classes)} 个类别",
            ),
            advice=Bilingual(
                "shuffle the training data: DataLoader(…, shuffle=True)",
                "打乱训练数据：DataLoader(…, shuffle=True)",
            ),
            steps=(since, known_at),
            known_at=known_at,
            source=loader_line(window),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (since, known_at),
                    Bilingual("class of each batch", "每个批次的类别"),
                    classes=[one for _, one in in_a_row],
                ),
            ),
        )
        return


def _only_label(seen: Event, labels: int) -> int | None:
    """The only class in a training batch, -1 if there are several, None if it has no labels to count."""
    if seen.phase is not Phase.TRAIN or not seen.fields.get("grad", True):
        return None
    for tensor in seen.fields.get("tensors") or ():
        counts = tensor.get("histogram")
        if counts and sum(counts) >= labels:
            return max(range(len(counts)), key=counts.__getitem__) if sum(c > 0 for c in counts) == 1 else -1
    return None


def _batch(step: int, *counts: int) -> Event:
    return event(
        "batch", step=step, grad=True, tensors=[{"name": "0"}, {"name": "1", "histogram": list(counts)}]
    )


_SORTED = tuple(_batch(n, *([0] * (n // 3)), 8) for n in range(5))
_LATER = tuple(_batch(5 + n, *([0] * (n // 3)), 8) for n in range(4))
CASES = (
    fires("exactly the patience", place="data", events=_SORTED),
    silent("one batch short", events=_SORTED[:4]),
    silent("one class in all", events=tuple(_batch(n, 8) for n in range(9))),
    silent("small batches", events=tuple(_batch(n, *([0] * (n % 2)), 7) for n in range(9))),
    silent("a mixed batch between", events=(*_SORTED[:4], _batch(4, 4, 4), *_LATER)),
)
