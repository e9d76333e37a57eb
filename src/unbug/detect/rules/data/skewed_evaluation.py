"""Evaluation inputs are on another scale than training inputs.

Why it matters: the model is asked about numbers that it never saw; its scores say little about it.
How it decides: over at least `rows` rows on each side, the median over features (or channels) of the standard
    deviation in evaluation over that in training is at least `scale` or at most its inverse (`channel_scale`
    for images, whose spread is known better), or the median shift of the means at least `shift` deviations,
    or half of the features are off by scale or by half of that shift, a quarter by scale; or channels come in
    reverse order; or the means of eight features or more do not agree at all with those in training; or each
    evaluated batch has mean 0 and deviation 1 (or 0 and 1 as ends) by itself, as if the scaler had been
    fitted on it, while training batches have not. It must still be so in the last evaluation: a training that
    begins with the easy examples comes to the others later.
When it is wrong: an evaluation on other data on purpose.
What to do: fit each transformation on the training data, and apply the same one to both.
Source: Breck et al. 2019, "Data Validation for Machine Learning", on training and serving skew; the numbers
    are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

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
from unbug.detect.dataline import data_line
from unbug.detect.given import Fields, given, numbers

_FEATURES, _SPREAD, _TURNED, _AGREE, _WIDER = 8, 0.5, 0.5, 0.2, 0.25
"""Features at least; spread of their means over their deviation; median shift; correlation at most; logarithm
of the ratio of deviations."""
_WIDE, _ROWS_BY_FEATURE = 0.2, 100
"""Of the median deviation at least; rows, so that single features can be compared."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(20, unit="rows", low=4, high=10**6, why="fewer vary by chance")
    scale: float = threshold(3.0, unit="times", low=1.2, high=1e6, why="splits by time or group are below 2")
    channel_scale: float = threshold(
        1.6, unit="times", low=1.1, high=1e6, why="images of one kind are near 1"
    )
    shift: float = threshold(
        3.0, unit="standard deviations", low=0.5, high=1e6, why="splits by time are below 2"
    )
    columns: int = threshold(1, unit="features", low=1, high=256, why="a channel is enough")


@detector(
    "D113",
    "skewed-evaluation",
    chinese="评估输入与训练输入尺度不同",
    diagnoses=("train-test-skew",),
    events=("given",),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    trained: dict[str, Fields] = {}
    told = sorted(
        [(step, 0, fields) for step, fields in given(window, "train")]
        + [(step, 1, fields) for step, fields in given(window, "eval")],
        key=lambda one: one[:2],
    )
    skewed: list[tuple[int, Fields, Fields, Bilingual | None]] = []
    for step, evaluates, fields in told:
        name = f"{fields.get('module')} {fields.get('root')}"
        if not evaluates:
            trained[name] = fields
            continue
        base = trained.get(name)
        if base is None or base.get("shape") != fields.get("shape") or not _enough(base, fields, at):
            continue
        skewed.append((step, base, fields, _refitted(base, fields) or _scaled(base, fields, at)))
    if not skewed or skewed[-1][3] is None:  # a curriculum had not come to the rest yet
        return
    for step, base, fields, message in skewed:
        if message is None:
            continue
        yield Finding(
            place="data",
            message=message,
            advice=Bilingual(
                "fit each transformation on the training data alone, and apply the same one to the "
                "evaluation",
                "只在训练数据上拟合每个变换，并把同一个变换应用于评估数据",
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "evaluation") or data_line(window, "input"),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("inputs of training and evaluation", "训练与评估的输入"),
                    training_mean=[float(one) for one in numbers(base, "mean")[:32]],
                    training_std=[float(one) for one in numbers(base, "std")[:32]],
                    evaluation_mean=[float(one) for one in numbers(fields, "mean")[:32]],
                    evaluation_std=[float(one) for one in numbers(fields, "std")[:32]],
                ),
            ),
        )
        return


def _enough(base: Fields, fields: Fields, at: Thresholds) -> bool:
    """Rows on both sides, and no single examples as a policy is asked for."""
    for side in (base, fields):
        rows, batches = int(side.get("rows_looked_at") or 0), int(side.get("batches_looked_at") or 0)
        if rows < at.rows or rows < 8 * batches:
            return False
    inside, outside = int(fields.get("rows_in_training") or 0), int(fields.get("rows_not_in_training") or 0)
    return outside >= inside


def _refitted(base: Fields, fields: Fields) -> Bilingual | None:
    batches, trained = int(fields.get("batches_looked_at") or 0), int(base.get("batches_looked_at") or 0)
    for kind, ends in (
        ("standard", Bilingual("mean 0 and standard deviation 1", "均值 0、标准差 1")),
        ("unit", Bilingual("ends 0 and 1", "最小值 0、最大值 1")),
    ):
        alone = int((fields.get("scaled_alone") or {}).get(kind) or 0)
        before = int((base.get("scaled_alone") or {}).get(kind) or 0)
        whole = int(base.get("rows_looked_at") or 0) == trained * int(base.get("distinct_rows") or 0)
        both = kind == "standard" and whole and before == trained and base.get("by") == "feature"
        if alone < batches or not batches or not (both or before == 0):
            continue
        return Bilingual(
            f"each of {batches} evaluated batches has {ends} by itself: its scaling was fitted on it, "
            "not on the "
            "training data",
            f"被评估的 {batches} 个批次各自恰好为{ends.zh}：缩放是在其自身而不是训练数据上拟合的",
        )
    return None


def _scaled(base: Fields, fields: Fields, at: Thresholds) -> Bilingual | None:
    mean, std = numbers(base, "mean"), numbers(base, "std")
    other, spread = numbers(fields, "mean"), numbers(fields, "std")
    if len(mean) != len(other) or not len(mean) or fields.get("by") != base.get("by"):
        return None
    varied = np.isfinite(mean + std + other + spread) & (std > 0) & (spread > 0)
    if varied.sum() < max(at.columns, 0.3 * len(mean)):
        return None
    ratio = float(np.exp(np.median(np.log(spread[varied] / std[varied]))))
    shift = float(np.median(np.abs(other - mean)[varied] / np.maximum(std, spread)[varied]))
    channels = base.get("by") == "channel"
    limit = at.channel_scale if channels else at.scale
    if ratio >= limit or ratio <= 1 / limit:
        return Bilingual(
            f"inputs of the evaluation spread {ratio:.3g} times as far as those of the training (limit "
            f"{limit:g})",
            f"评估输入的离散程度是训练输入的 {ratio:.3g} 倍（阈值 {limit:g}）",
        )
    # Features that hardly vary, as pixels at the border, do so by chance.
    wide = varied & (np.minimum(std, spread) >= _WIDE * np.median(std[varied]))
    seen = min(int(side.get("rows_looked_at") or 0) for side in (base, fields))
    if seen < _ROWS_BY_FEATURE or wide.sum() < max(at.columns, 0.3 * len(mean)):
        wide = np.zeros_like(varied)
    off = np.abs(np.log(spread[wide] / std[wide])) >= np.log(at.scale)
    apart = np.abs(other - mean)[wide] / np.maximum(std, spread)[wide] >= at.shift / 2
    if wide.any() and not channels and off.mean() >= 0.25 and (off | apart).mean() >= 0.5:
        return Bilingual(
            f"{int((off | apart).sum())} of {int(wide.sum())} features have another scale in "
            "evaluation than in "
            "training",
            f"{int(wide.sum())} 个特征中有 {int((off | apart).sum())} 个在评估中的尺度与训练不同",
        )
    whole = fields.get("whole_numbers") is True and base.get("whole_numbers") is False
    if whole and (shift >= _TURNED or abs(np.log(ratio)) >= _WIDER):
        return Bilingual(
            "inputs of the evaluation are whole numbers, those of the training are not; they lie "
            f"{shift:.3g} "
            "standard deviations apart",
            f"评估输入是整数，而训练输入不是；两者相差 {shift:.3g} 个标准差",
        )
    if shift >= at.shift:
        return Bilingual(
            f"inputs of the evaluation lie {shift:.3g} standard deviations off those of the training "
            f"(limit {at.shift:g})",
            f"评估输入与训练输入的均值相差 {shift:.3g} 个标准差（阈值 {at.shift:g}）",
        )
    if not channels and len(mean) >= _FEATURES:
        return _mixed(mean, std, other, spread, shift)
    if channels and len(mean) == 3:
        off, back = np.abs(other - mean) / std, np.abs(other[::-1] - mean) / std
        if off.max() >= 0.25 and back.max() <= 0.2 * off.max():
            return Bilingual(
                "the channels of the evaluation come in reverse order", "评估输入的通道顺序与训练相反"
            )
    return None


def _mixed(
    mean: np.ndarray, std: np.ndarray, other: np.ndarray, spread: np.ndarray, shift: float
) -> Bilingual | None:
    """Features that are turned about, or changed places: what was low on one side is high on the other."""
    still = (std == 0) & (spread == 0) & np.isfinite(mean + other)
    moved = still & (np.abs(other - mean) > 1e-6 * (1 + np.abs(mean)))
    if moved.sum() >= max(3, 0.05 * len(mean)):
        return Bilingual(
            f"{int(moved.sum())} features are constant in training, and in evaluation at another value",
            f"{int(moved.sum())} 个特征在训练中恒定，在评估中恒定为另一个值",
        )
    typical = float(np.median(std[std > 0])) if (std > 0).any() else 0.0
    if typical <= 0 or mean.std() < _SPREAD * typical or other.std() < _SPREAD * typical or shift < _TURNED:
        return None
    agree = float(np.corrcoef(mean, other)[0, 1])
    if agree > _AGREE:
        return None
    return Bilingual(
        "means of the features in evaluation have nothing to do with those in training (correlation "
        f"{agree:.2f})",
        f"评估中各特征的均值与训练中的均值不相符（相关系数 {agree:.2f}）",
    )


def _sides(
    *, evaluation: tuple[float, float], by: str = "feature", alone: int = 0, inside: int = 0
) -> tuple[Event, ...]:
    mean, std = evaluation
    shared: dict[str, Any] = {
        "module": "Net",
        "shape": [4],
        "by": by,
        "rows_looked_at": 320,
        "batches_looked_at": 10,
    }
    return (
        event("given", step=9, **shared, mean=[0.0] * 4, std=[1.0] * 4, distinct_rows=300),
        event(
            "given", step=10, phase=Phase.EVAL, **shared, mean=[mean] * 4, std=[std] * 4,
            scaled_alone={"standard": alone}, rows_in_training=inside, rows_not_in_training=40,
        ),
    )  # fmt: skip


_PIXELS: dict[str, Any] = {
    "module": "Net",
    "shape": [10],
    "by": "feature",
    "rows_looked_at": 320,
    "batches_looked_at": 10,
}


def _pixels(mean: list[float]) -> tuple[Event, ...]:
    before = [0.0, 0.0, 0.0, 0.1, 0.3, 0.5, 0.9, 1.0, 0.2, 0.8]
    std = [0.0] * 3 + [0.3] * 7
    return (
        event("given", step=9, **_PIXELS, mean=before, std=std),
        event("given", step=10, phase=Phase.EVAL, **_PIXELS, mean=mean, std=std),
    )


_COLOURS: dict[str, Any] = {
    "module": "Net",
    "shape": [3, 32, 32],
    "by": "channel",
    "rows_looked_at": 320,
    "batches_looked_at": 10,
}
CASES = (
    fires("raw inputs in evaluation", place="data", events=_sides(evaluation=(5.0, 3.0))),
    fires("another offset", events=_sides(evaluation=(4.0, 1.0))),
    fires(
        "counts in evaluation, scaled ones in training",
        events=tuple(
            event(one.kind, step=one.step, phase=one.phase, **one.fields, whole_numbers=bool(one.step == 10))
            for one in _sides(evaluation=(1.6, 1.5))
        ),
    ),
    fires("half the range in images", events=_sides(evaluation=(0.5, 0.5), by="channel")),
    fires("fitted on each batch", events=_sides(evaluation=(0.0, 1.0), alone=10)),
    fires(
        "channels in reverse order",
        events=(
            event("given", step=9, **_COLOURS, mean=[0.5, 0.4, 0.2], std=[0.25] * 3),
            event(
                "given",
                step=10,
                phase=Phase.EVAL,
                **_COLOURS,
                mean=[0.21, 0.4, 0.49],
                std=[0.25] * 3,
                rows_not_in_training=40,
            ),
        ),
    ),
    fires(
        "ground and ink change places",
        events=_pixels([1.0, 1.0, 1.0, 0.9, 0.7, 0.5, 0.1, 0.0, 0.8, 0.2]),
    ),
    fires("features change places", events=_pixels([0.0, 0.0, 0.0, 1.0, 0.8, 0.2, 0.1, 0.3, 0.9, 0.5])),
    silent(
        "a curriculum comes to the rest later",
        events=(
            *_sides(evaluation=(5.0, 3.0)),
            *(
                event(one.kind, step=one.step + 10, phase=one.phase, **one.fields)
                for one in _sides(evaluation=(0.1, 1.1))
            ),
        ),
    ),
    silent("pixels alike", events=_pixels([0.0, 0.0, 0.0, 0.12, 0.25, 0.5, 0.95, 0.9, 0.3, 0.7])),
    silent("alike", events=_sides(evaluation=(0.1, 1.1))),
    silent("a later part of a time series", events=_sides(evaluation=(1.8, 1.9))),
    silent("the training set itself", events=_sides(evaluation=(5.0, 3.0), inside=320)),
    silent("one batch of ten by chance", events=_sides(evaluation=(0.0, 1.0), alone=1)),
)
