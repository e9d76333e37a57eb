"""The training loss does not fall.

Why it matters: the model learns nothing from the training data, and more time will not change that.
How it decides: at the end of a training of at least `rows` recorded steps with one optimizer, the median
    loss of the second half is less than `drop` below that of the start, and no tenth of the training was
    clearly below it; or the last quarter is at least `rise` times the start. What the updates were tells
    more: if all of them together moved the weights by less than `moved` of their norm, the learning rate is
    too low.
When it is wrong: losses that are no measure of progress. Told as a note, therefore: where no loss function
    of PyTorch is called, or where the model runs more than once a step, as in reinforcement learning.
    Silent: losses that change their sign, several optimizers, and a classification that was good from the
    start (fine-tuning).
What to do: overfit a single batch first; if that works, look at the labels, else at learning rate and
    gradients.
Source: Karpathy 2019, "A Recipe for Training Neural Networks"; all numbers are ours, see
    `docs/explanation/thresholds.md`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Phase,
    Place,
    Severity,
    Track,
    Training,
    Window,
    block_medians,
    detector,
    event,
    fires,
    loss_sites,
    orders,
    silent,
    threshold,
    total_ratio,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(30, unit="recorded steps", low=10, high=10**6, why="fewer do not show a trend")
    drop: float = threshold(0.03, unit="fraction", low=0.0, high=0.5, why="healthy: 49 % and more")
    clear: float = threshold(
        0.1, unit="fraction", low=0.0, high=0.9, why="it fell once: another fault, if any"
    )
    rise: float = threshold(
        1.3, unit="times the start", low=1.0, high=100.0, why="batch noise stays below it"
    )
    moved: float = threshold(0.01, unit="of the weights' norm", low=1e-6, high=1.0, why="healthy: about 1")
    good: float = threshold(0.35, unit="of ln(classes)", low=0.0, high=1.0, why="far better than guessing")


@detector(
    "O201",
    "loss-not-falling",
    chinese="损失不下降",
    diagnoses=("misaligned-labels", "label-noise", "underfitting"),
    reads=("loss.value", "update.ratio", "weight.l2"),
    events=("loop_order", "loss_call"),
    severity=Severity.WARNING,
    since="0.1",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss = window.one("loss.value")
    if loss is None or len(loss) < at.rows or len(window.training.optimizers) > 1:
        return
    values = loss.values[np.isfinite(loss.values)]
    if len(values) < at.rows or values.min() <= 0:
        return
    start = max(float(np.median(values[:3])), float(np.median(values[:10])))
    half, quarter = (
        float(np.median(values[len(values) // 2 :])),
        float(np.median(values[-len(values) // 4 :])),
    )
    lowest = float(np.nanmin(block_medians(values[3:], min(10, len(values) // 5))))
    rose = quarter >= at.rise * start
    if not rose and (half < (1 - at.drop) * start or lowest < (1 - at.clear) * start):
        return
    if not rose and _was_good(window, start, at):
        return
    moved, place = _moved(window), "loss"
    if rose:
        message = Bilingual(
            f"the training loss rose from {start:.4g} at the start to {quarter:.4g} at the end",
            f"训练损失从开始时的 {start:.4g} 升到结束时的 {quarter:.4g}",
        )
        advice = Bilingual(
            "lower the learning rate, and check that the data are shuffled",
            "降低学习率，并检查数据是否已打乱",
        )
        diagnoses: tuple[str, ...] | None = ("lr-too-high", "unshuffled-data", "momentum-too-high")
    elif moved is not None and moved < at.moved:
        message = Bilingual(
            f"the training loss stayed at {start:.4g} (second half {half:.4g}); all updates together "
            f"moved the weights by {moved:.2g} of their norm (limit {at.moved:g})",
            f"训练损失停留在 {start:.4g}（后半段 {half:.4g}）；所有更新合计只让权重移动了"
            f"其范数的 {moved:.2g}（阈值 {at.moved:g}）",
        )
        advice = Bilingual("raise the learning rate, by a factor of 100 or more", "把学习率提高 100 倍或更多")
        diagnoses, place = ("lr-too-low",), "optimizer"
    else:
        message = Bilingual(
            f"the training loss stayed at {start:.4g}: second half {half:.4g}, a change below {at.drop:.0%}",
            f"训练损失停留在 {start:.4g}：后半段为 {half:.4g}，变化小于 {at.drop:.0%}",
        )
        advice = Bilingual(
            "check that labels belong to their inputs; try to overfit one batch",
            "检查标签是否与输入对应；试着先过拟合一个批次",
        )
        diagnoses = None
    yield Finding(
        place=place,
        message=message,
        advice=advice,
        diagnoses=diagnoses,
        severity=None if _supervised(window) else Severity.NOTE,
        evidence=(
            loss.evidence(
                threshold=(1 - at.drop) * start, mark=(), label=Bilingual("training loss", "训练损失")
            ),
        ),
    )


def _was_good(window: Window, start: float, at: Thresholds) -> bool:
    """Whether a classification began far below the loss of guessing."""
    classes = [int(p.get("classes") or 0) for s in loss_sites(window, "cross_entropy") for _, p in s.profiles]
    return max(classes, default=0) > 1 and start < at.good * log(max(classes))


def _supervised(window: Window) -> bool:
    """One forward for each backward, and a loss function of PyTorch."""
    words = [word for _, word in orders(window)]
    busy = [word for word in words if len(re.findall("F", word)) > len(re.findall("B", word))]
    return bool(loss_sites(window, phase=Phase.TRAIN)) and len(busy) * 2 <= len(words)


def _moved(window: Window) -> float | None:
    """Length of the way that the weights went, in their norms: the sum of all updates over all steps."""
    ratio: Track | None = total_ratio(window, "update.ratio", relative=True)
    if ratio is None:
        return None
    known = np.isfinite(ratio.values)
    if not known.any():
        return None
    gaps = np.diff(np.append(ratio.steps[known], max(window.steps, int(ratio.steps[-1]) + 1)))
    return float(np.sum(ratio.values[known] * gaps))


_LOSS = event("loss_call", function="mse_loss", file="t.py", line=9, calls=1)
_CE = event("loss_call", function="cross_entropy", file="t.py", line=9, calls=1, classes=10)
_ORDER = event("loop_order", order="ZFBS")
_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
_ONE = {"fc.weight": [1.0] * 30}
CASES = (
    fires(
        "stays, while the weights move",
        place="loss",
        events=(_LOSS, _ORDER),
        places=_FC,
        diagnoses=("misaligned-labels", "label-noise", "underfitting"),
        loss__value={"loss": [1.0] * 30},
        update__ratio={"fc.weight": [0.01] * 30},
        weight__l2=_ONE,
    ),
    fires(
        "stays, since the weights do not move",
        place="optimizer",
        events=(_LOSS, _ORDER),
        places=_FC,
        diagnoses=("lr-too-low",),
        loss__value={"loss": [1.0] * 30},
        update__ratio={"fc.weight": [3e-4] * 30},
        weight__l2=_ONE,
    ),
    fires(
        "rises",
        events=(_LOSS, _ORDER),
        diagnoses=("lr-too-high", "unshuffled-data", "momentum-too-high"),
        loss__value={"loss": [1.0] * 20 + [1.3] * 20},
    ),
    fires(
        "no loss function seen", severity=Severity.NOTE, events=(_ORDER,), loss__value={"loss": [1.0] * 30}
    ),
    fires(
        "the model runs twice a step",
        severity=Severity.NOTE,
        events=(_LOSS, event("loop_order", order="FFZBS")),
        loss__value={"loss": [1.0] * 30},
    ),
    silent("one row short", events=(_LOSS,), loss__value={"loss": [1.0] * 29}),
    silent("falls by just enough", events=(_LOSS,), loss__value={"loss": [1.0] * 12 + [0.969] * 18}),
    silent(
        "a plateau after a quick fall", events=(_LOSS,), loss__value={"loss": [2.0, 1.6, 1.3] + [1.0] * 97}
    ),
    silent("a late fall", events=(_LOSS,), loss__value={"loss": [1.0] * 90 + [0.2] * 10}),
    silent("a loss of both signs", events=(_LOSS,), loss__value={"loss": [1.0, -1.0] * 30}),
    silent(
        "a GAN",
        events=(_LOSS,),
        training=Training(number=0, steps=60, optimizers=("Adam", "Adam")),
        loss__value={"loss": [1.0] * 60},
    ),
    silent("good from the start", events=(_CE, _ORDER), loss__value={"loss": [0.5] * 60}),
)
