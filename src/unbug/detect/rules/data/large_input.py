"""Inputs are far from the scale that weights are made for.

Why it matters: the first layer's outputs and gradients grow with the inputs: units saturate, the loss starts
    far too high, and a learning rate that suits one feature is wrong by powers of ten for another.
How it decides: the root mean square of a feature (or channel) is at least `scale`, the first layer is linear,
    convolutional or recurrent, with no normalisation in front, and harm is seen: the first loss is `loss`
    times that of guessing, the first outputs `outputs` times as large as the targets, most values of a tanh
    or sigmoid saturated at once, or a loss that is not finite. From `noted` on it is told at the end, too: as
    an alert if the loss is still `stays` of the first one, else as a note.
When it is wrong: a model that scales its inputs itself, and that harm has another cause.
What to do: standardise each feature with mean and deviation of the training data; divide bytes by 255.
Source: LeCun et al. 1998, "Efficient BackProp", section 4.3; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
    trained_sites,
)
from unbug.detect.dataline import data_line
from unbug.detect.given import Fields, answers, first_layer, given, learns_from_examples, numbers

_LAYERS = ("Linear", "Conv1d", "Conv2d", "Conv3d", "LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    scale: float = threshold(10.0, unit="root mean square", low=3, high=1e9, why="weights are made for 1")
    noted: float = threshold(30.0, unit="root mean square", low=3, high=1e9, why="0 to 16 is usual")
    loss: float = threshold(3.0, unit="times guessing", low=1.2, high=1e6, why="fresh models are within 1.5")
    outputs: float = threshold(10.0, unit="times the targets", low=2, high=1e9, why="fresh models are below")
    saturated: float = threshold(0.5, unit="of the values", low=0.1, high=1, why="fresh units are not")
    stays: float = threshold(0.8, unit="of the first loss", low=0.3, high=1.0, why="scaled inputs halve it")
    rows: int = threshold(50, unit="recorded losses", low=10, high=10**6, why="fewer are no training")


@detector(
    "D106",
    "unscaled-input",
    chinese="输入未缩放",
    diagnoses=("unnormalized-input",),
    reads=("activation.saturated_share", "loss.value", "loss.nonfinite"),
    events=("given", "answers", "loss_call", "loop_order"),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.88,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    if first_layer(window) not in _LAYERS:
        return
    last = None
    for step, fields in given(window, "train"):
        found = _largest(fields)
        if found is None or found[1] < at.scale:
            continue
        harm = _harm(window, step, at)
        if harm is not None:
            yield _finding(window, step, fields, found, harm, at)
            return
        if found[1] >= at.noted:
            last = step, fields, found
    if last is not None and window.ended:
        yield _finding(window, *last, _stays(window, at), at)


def _finding(
    window: Window,
    step: int,
    fields: Fields,
    found: tuple[int, float],
    harm: Bilingual | None,
    at: Thresholds,
) -> Finding:
    index, size = found
    name = Bilingual("channel", "通道") if fields.get("by") == "channel" else Bilingual("feature", "特征")
    so = harm if harm is not None else Bilingual("no harm was seen", "未见危害")
    return Finding(
        place="data",
        message=Bilingual(
            f"the root mean square of input {name} {index} is {size:.4g} (limit {at.scale:g}); {so}",
            f"输入{name.zh} {index} 的均方根为 {size:.4g}（阈值 {at.scale:g}）；{so.zh}",
        ),
        advice=Bilingual(
            "standardise the inputs with mean and standard deviation of the training data, or divide by 255",
            "用训练数据的均值和标准差对输入做标准化，或除以 255",
        ),
        severity=Severity.NOTE if harm is None else None,
        steps=(0, step),
        known_at=step,
        source=data_line(window, "input"),
        evidence=(
            facts_evidence(
                window,
                "data",
                (0, step),
                Bilingual("inputs", "输入"),
                mean=[float(one) for one in numbers(fields, "mean")[:64]],
                std=[float(one) for one in numbers(fields, "std")[:64]],
            ),
        ),
    )


def _largest(fields: Fields) -> tuple[int, float] | None:
    mean, std = numbers(fields, "mean"), numbers(fields, "std")
    if not len(mean) or len(mean) != len(std):
        return None
    size = np.sqrt(mean * mean + std * std)
    if not np.isfinite(size).any():
        return None
    index = int(np.nanargmax(size))
    return index, float(size[index])


def _harm(window: Window, step: int, at: Thresholds) -> Bilingual | None:
    """What goes wrong from the start, by what was known at a step."""
    flag = window.one("loss.nonfinite")
    if flag is not None and (flag.values[flag.steps <= step] >= 1).any():
        return Bilingual("the loss is no longer finite", "损失已不再有限")
    loss = window.one("loss.value")
    guessing = _guessing(window)
    if guessing is not None and loss is not None and len(loss):
        first = float(np.median(loss.values[:3]))
        if loss.steps[min(2, len(loss) - 1)] <= step and first >= at.loss * guessing:
            return Bilingual(
                f"the loss starts at {first:.4g}, guessing gives {guessing:.3g}",
                f"损失从 {first:.4g} 开始，而猜测只有 {guessing:.3g}",
            )
    for known, fields in answers(window, "train"):
        target, output = _size(fields, "target"), _size(fields, "first_output")
        if known <= step and target and output >= at.outputs * target:
            return Bilingual(
                f"the first outputs have a root mean square of {output:.4g}, the targets of {target:.3g}",
                f"最初输出的均方根为 {output:.4g}，目标为 {target:.3g}",
            )
    for track in window.read("activation.saturated_share"):
        early = track.values[(track.steps <= min(step, 3)) & np.isfinite(track.values)]
        if len(early) and early.max() >= at.saturated:
            share = float(early.max())
            return Bilingual(
                f"{share:.0%} of the outputs of {track.place} are saturated at once",
                f"{track.place} 的 {share:.0%} 输出一开始就饱和",
            )
    return None


def _stays(window: Window, at: Thresholds) -> Bilingual | None:
    """Whether hardly anything was learned, at the end."""
    loss = window.one("loss.value")
    if loss is None or len(loss) < at.rows or not learns_from_examples(window):
        return None
    part = max(3, len(loss) // 10)
    start, end = float(np.median(loss.values[:part])), float(np.median(loss.values[-part:]))
    if not end > at.stays * start > 0:
        return None
    return Bilingual(
        f"the loss goes from {start:.4g} to {end:.4g} only", f"损失只从 {start:.4g} 变到 {end:.4g}"
    )


def _guessing(window: Window) -> float | None:
    """The loss of a model that knows nothing, where one classification is all that is trained on."""
    sites = trained_sites(window)
    if len(sites) != 1 or not sites[0].profiles:
        return None
    profile = sites[0].profiles[-1][1]
    if profile.get("reduction") not in (None, "mean"):
        return None
    if sites[0].function in ("cross_entropy", "nll_loss"):
        classes = int(profile.get("classes") or 0)
        return log(classes) if classes > 1 else None
    return log(2) if sites[0].function == "binary_cross_entropy_with_logits" else None


def _size(fields: Fields, name: str) -> float:
    mean, std = fields.get(f"{name}_mean"), fields.get(f"{name}_std")
    if not isinstance(mean, (int, float)) or not isinstance(std, (int, float)):
        return 0.0
    return sqrt(mean * mean + std * std)


_LINEAR = (
    Place(path="fc", kind="module", class_name="torch.nn.modules.linear.Linear", order=0),
    Place(path="fc.weight", kind="parameter", shape=(4, 4), parent="fc", order=1),
)
_NORM = (
    Place(path="bn", kind="module", class_name="torch.nn.modules.batchnorm.BatchNorm1d", order=0),
    Place(path="bn.weight", kind="parameter", shape=(4,), parent="bn", order=1),
)
_RAW = event("given", step=2, by="feature", mean=[1.0, 0.0], std=[0.5, 30.0])
_FINE = event("given", step=2, by="feature", mean=[1.0, 0.0], std=[0.5, 9.9])
_SIXTEEN = event("given", step=2, by="feature", mean=[1.0, 0.0], std=[0.5, 16.0])
_CE = event("loss_call", function="cross_entropy", file="t.py", line=9, calls=1, classes=10, reduction="mean")
_BAD, _GOOD = {"loss": [40.0] * 5}, {"loss": [2.3] * 5}
CASES = (
    fires(
        "the loss starts too high",
        place="data",
        severity=Severity.WARNING,
        events=(_RAW, _CE),
        places=_LINEAR,
        loss__value=_BAD,
    ),
    fires(
        "saturated at once",
        severity=Severity.WARNING,
        events=(_RAW, _CE),
        places=_LINEAR,
        loss__value=_GOOD,
        activation__saturated_share={"act": [0.9] * 5},
    ),
    fires(
        "outputs far beyond the targets",
        severity=Severity.WARNING,
        events=(
            _RAW,
            event(
                "answers",
                step=1,
                target_mean=0.0,
                target_std=1.0,
                first_output_mean=0.0,
                first_output_std=11.0,
            ),
        ),
        places=_LINEAR,
    ),
    fires("no harm", severity=Severity.NOTE, events=(_RAW, _CE), places=_LINEAR, loss__value=_GOOD),
    silent("just below the scale", events=(_FINE, _CE), places=_LINEAR, loss__value=_BAD),
    fires(
        "hardly anything is learned",
        severity=Severity.WARNING,
        events=(_RAW, _CE),
        places=_LINEAR,
        loss__value={"loss": [2.3] * 25 + [2.0] * 25},
    ),
    silent("no harm, not so large", events=(_SIXTEEN, _CE), places=_LINEAR, loss__value=_GOOD),
    silent("a normalisation comes first", events=(_RAW, _CE), places=_NORM, loss__value=_BAD),
)
