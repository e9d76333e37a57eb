"""The training loss does not fall.

Why it matters: the model learns nothing from the training data, and more time will not change that.
How it decides: at the end of a training of at least `rows` recorded steps with one optimizer, the median
    loss of the second half is less than `drop` below that of the start, and no tenth of the training was
    clearly below it; or the last quarter is at least `rise` times the start. Where the updates were so
    short that the learning rate is to blame, O105 speaks.
When it is wrong: losses that are no measure of progress. Told as a note, therefore, and a rise not at all:
    where no loss function of PyTorch is called, where the model runs more than once a step, or where it
    also acts without gradients, as in reinforcement learning. Silent: losses that change their sign,
    several optimizers, and a classification that was good from the start (fine-tuning).
What to do: overfit a single batch first; if that works, look at the labels, else at learning rate and
    gradients.
Source: Karpathy 2019, "A Recipe for Training Neural Networks"; all numbers are ours, see
    `docs/explanation/thresholds.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Training,
    Window,
    alternating,
    block_medians,
    comparable_loss,
    detector,
    event,
    fires,
    good_from_start,
    silent,
    supervised,
    threshold,
    trained_sites,
)
from unbug.detect.creeping import unused_gradient, walk


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
    step: float = threshold(1e-4, unit="of the weights' norm", low=1e-9, high=0.1, why="as in O105")
    moved: float = threshold(0.05, unit="of the weights' norm", low=1e-6, high=1.0, why="as in O105")
    slow: float = threshold(1e-3, unit="of the weights' norm", low=1e-9, high=0.1, why="as in O105")
    way: float = threshold(0.2, unit="of the weights' norm", low=1e-6, high=1.0, why="as in O105")
    left: float = threshold(0.4, unit="of the first signal", low=0.0, high=1.0, why="as in O105")
    agreement: float = threshold(0.2, unit="cosine", low=0.0, high=1.0, why="as in O105")
    good: float = threshold(0.35, unit="of ln(classes)", low=0.0, high=1.0, why="far better than guessing")


@detector(
    "O201",
    "loss-not-falling",
    chinese="损失不下降",
    diagnoses=("misaligned-labels", "label-noise", "underfitting"),
    reads=("loss.value", "step.micro_steps", "update.ratio", "weight.l2", "grad.signal", "grad.cosine"),
    events=("loop_order", "loss_call", "mode"),
    severity=Severity.WARNING,
    since="0.1",
    final=True,
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss, known = comparable_loss(window), supervised(window)
    if loss is None or len(loss) < at.rows or alternating(window) or _creeps(window, at):
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
    if good_from_start(window, start, at.good) if not rose else not known:
        return
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
    site = next((one for one in trained_sites(window) if one.source), None)
    yield Finding(
        place="loss",
        message=message,
        advice=advice,
        diagnoses=diagnoses,
        severity=None if known else Severity.NOTE,
        source=site.source if site is not None else None,
        evidence=(
            loss.evidence(
                threshold=(1 - at.drop) * start, mark=(), label=Bilingual("training loss", "训练损失")
            ),
        ),
    )


def _creeps(window: Window, at: Thresholds) -> bool:
    """Whether the weights moved so little that the learning rate is to blame, as O105 says."""
    one = walk(window)
    if one is None or not one.way > 0:
        return False
    if one.way <= at.moved and one.step <= at.step * (1 + 1e-9):
        return True
    unused = unused_gradient(window) if one.way <= at.way and one.step <= at.slow * (1 + 1e-9) else None
    return unused is not None and unused[0] >= at.left and unused[1] >= at.agreement


_LOSS = event("loss_call", function="mse_loss", file="t.py", line=9, calls=1)
_CE = event("loss_call", function="cross_entropy", file="t.py", line=9, calls=1, classes=10)
_ORDER = event("loop_order", order="ZFBS")
_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
_LEARNS = event("mode", module="Policy", training=True, grad=True)
_ACTS = event("mode", module="Policy", training=True, grad=False)
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
    silent(
        "the weights hardly move: O105 speaks",
        events=(_LOSS, _ORDER),
        places=_FC,
        loss__value={"loss": [1.0] * 30},
        update__ratio={"fc.weight": [1e-4] * 30},
        weight__l2=_ONE,
    ),
    silent(
        "an agent's loss rises with what it gets",
        events=(_LOSS, _ORDER, _ACTS, _LEARNS),
        loss__value={"loss": [1.0] * 20 + [1.3] * 20},
    ),
    silent(
        "accumulation begins",
        events=(_LOSS, _ORDER),
        loss__value={"loss": [1.0] * 10 + [4.0] * 29},
        step__micro_steps={"loop": [1.0] * 10 + [4.0] * 29},
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
