"""The order of the training data follows their targets.

Why it matters: neighbouring batches ask for the same answer, and the model forgets the one before.
How it decides: over at least `batches` recorded batches in a row, the mean target differs between batches by
    more than `ratio` times what it would if examples were drawn at random (the F statistic of an analysis of
    variance). Class numbers must also go with those of the batch before (correlation at least `follows`);
    other targets must go up (or down) in nearly all of them, with a small spread inside each.
When it is wrong: streams that must be read in the order of time; a curriculum that follows the targets.
What to do: shuffle: `DataLoader(…, shuffle=True)`, or `torch.randperm` in each epoch.
Source: Bottou 2012, "Stochastic Gradient Descent Tricks", section 5.1; Fisher's F test; the numbers are ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

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
from unbug.detect.dataline import data_line, loader_line
from unbug.detect.given import answers, told_at


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    batches: int = threshold(8, unit="recorded batches", low=4, high=64, why="a trend shows")
    ratio: float = threshold(
        20.0, unit="times chance", low=2, high=1e6, why="chance stays below 3, a curriculum came to 13"
    )
    follows: float = threshold(0.5, unit="correlation", low=0, high=1, why="shuffled batches have none")
    sorted: float = threshold(0.95, unit="of the pairs", low=0.5, high=1, why="time series go up and down")


@detector(
    "D105",
    "sorted-training-data",
    chinese="训练数据按目标排序",
    diagnoses=("unshuffled-data",),
    events=("answers",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, fields in answers(window, "train"):
        rows = [row for row in fields.get("batch_means") or () if row[2] >= 4]
        if len(rows) < at.batches:
            continue
        classes = int(fields.get("classes") or 0)
        ratio = _ratio(rows)
        if ratio < at.ratio or not _ordered(rows, at, classes=classes > 0):
            continue
        ends = f"{rows[0][0]:.3g}", f"{rows[-1][0]:.3g}"
        yield Finding(
            place="data",
            message=Bilingual(
                f"the mean target of {len(rows)} training batches in a row goes from {ends[0]} to {ends[1]} "
                f"and differs {ratio:.3g} times as much as by chance (limit {at.ratio:g})",
                f"连续 {len(rows)} 个训练批次的平均目标从 {ends[0]} 变到 {ends[1]}，"
                f"差异是随机情况的 {ratio:.3g} 倍（阈值 {at.ratio:g}）",
            ),
            advice=Bilingual(
                "shuffle the training data: DataLoader(…, shuffle=True), or a new torch.randperm each epoch",
                "打乱训练数据：DataLoader(…, shuffle=True)，或每轮使用新的 torch.randperm",
            ),
            severity=None if classes else Severity.WARNING,
            confidence=None if classes else 0.8,
            steps=(0, step),
            known_at=step,
            source=loader_line(window) or data_line(window, "input") or told_at(fields),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("mean target of each batch", "每个批次的平均目标"),
                    means=[row[0] for row in rows],
                ),
            ),
        )
        return


def _ratio(rows: Sequence[Sequence[float]]) -> float:
    """The F statistic of the batches' means."""
    mean, std, count = np.asarray(rows, dtype=np.float64).T
    total = count.sum()
    if total <= len(rows):
        return 0.0
    between = (count * (mean - (count * mean).sum() / total) ** 2).sum() / (len(rows) - 1)
    within = (count * std**2).sum() / (total - len(rows))
    if not between > 0:
        return 0.0
    return float(between / within) if within > 1e-12 * between else 1e12


def _ordered(rows: Sequence[Sequence[float]], at: Thresholds, *, classes: bool) -> bool:
    mean = np.asarray([row[0] for row in rows])
    spread = np.asarray([row[1] for row in rows])
    if classes:
        here, there = mean[:-1] - mean.mean(), mean[1:] - mean.mean()
        size = float(np.sqrt((here @ here) * (there @ there)))
        return bool(size > 0 and here @ there >= at.follows * size)
    if not mean.std() > 4 * spread.mean():
        return False
    gaps = np.diff(mean)
    return bool(max((gaps > 0).mean(), (gaps < 0).mean()) >= at.sorted)


def _told(*rows: tuple[float, float, int], classes: int = 10) -> Event:
    return event(
        "answers", step=10, classes=classes, batch_means=[list(row) for row in rows], file="t.py", line=9
    )


_UP = tuple((0.9 * n, 0.5, 32) for n in range(10))
CASES = (
    fires("classes one after the other", place="data", severity=Severity.ERROR, events=(_told(*_UP),)),
    fires(
        "numbers from the least to the greatest",
        severity=Severity.WARNING,
        events=(_told(*((float(n), 0.3, 16) for n in range(12)), classes=0),),
    ),
    silent("too few batches", events=(_told(*_UP[:7]),)),
    silent("shuffled", events=(_told(*((4.5 + 0.5 * (-1) ** n, 2.9, 32) for n in range(20))),)),
    silent(
        "targets that drift, with noise (reinforcement, time)",
        events=(_told(*((0.2 * n + (n % 3), 0.6, 32) for n in range(30)), classes=0),),
    ),
    silent(
        "different by block, but not in order",
        events=(_told(*((9.0 * (n % 2), 0.5, 32) for n in range(20))),),
    ),
    silent("the same target throughout", events=(_told(*((1.0, 0.0, 32) for _ in range(20))),)),
)
