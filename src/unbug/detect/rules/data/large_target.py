"""Targets of a regression are far from the scale that a fresh model's outputs have.

Why it matters: the first layers learn nothing until the last bias has come all the way to the targets' mean;
    the loss and its gradient are the square of their scale.
How it decides: the root mean square of the targets is at least `scale`, and `ratio` times that of the first
    outputs; and at the end the loss still is `left` of the targets' variance (of their deviation for losses
    of absolute errors), or it is no longer finite.
When it is wrong: a task that cannot be learned better, with targets of that scale; a value function whose
    returns are still growing.
What to do: standardise the targets with mean and deviation of the training data, and turn predictions back;
    or start the last bias at the targets' mean.
Source: LeCun et al. 1998, "Efficient BackProp", on scaling targets; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Track,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line
from unbug.detect.given import Fields, answers, learns_from_examples, told_at

_ABSOLUTE = ("l1_loss", "smooth_l1_loss", "huber_loss")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    scale: float = threshold(
        10.0, unit="root mean square", low=2, high=1e9, why="outputs reach it in a few steps"
    )
    ratio: float = threshold(
        20.0, unit="times the first outputs", low=3, high=1e9, why="else the bias is near"
    )
    above: float = threshold(
        0.2, unit="of the steps", low=0.01, high=1.0, why="scaled targets take a few steps at most"
    )
    rows: int = threshold(20, unit="recorded losses", low=3, high=10**6, why="fewer are no training")


@detector(
    "D107",
    "unscaled-target",
    chinese="目标未缩放",
    diagnoses=("unnormalized-target",),
    reads=("loss.value", "loss.nonfinite"),
    events=("answers", "loss_call", "loop_order"),
    severity=Severity.WARNING,
    since="0.3",
    final=True,
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = [one for one in answers(window, "train") if "target_std" in one[1]]
    loss = window.one("loss.value")
    if not told or loss is None or len(loss) < at.rows or not learns_from_examples(window):
        return
    if len({one[1].get("line") for one in told}) != 1:
        return
    step, fields = next((one for one in told if int(one[1].get("looked_at") or 0) >= 5), told[-1])
    target, output = _size(fields, "target"), _size(fields, "first_output")
    if target < at.scale or target < at.ratio * output:
        return
    harm = _harm(loss, window.one("loss.nonfinite"), fields, at)
    if harm is None:
        return
    mean, std = float(fields["target_mean"]), float(fields["target_std"])
    yield Finding(
        place="data",
        message=Bilingual(
            f"the targets have mean {mean:.4g} and standard deviation {std:.4g}, the first outputs a "
            "root mean "
            f"square of {output:.3g}; {harm}",
            f"目标的均值为 {mean:.4g}、标准差为 {std:.4g}，而最初输出的均方根只有 {output:.3g}；{harm.zh}",
        ),
        advice=Bilingual(
            "standardise the targets with mean and standard deviation of the training data",
            "用训练数据的均值和标准差对目标做标准化",
        ),
        source=data_line(window, "target") or told_at(fields),
        steps=(0, max(step, int(loss.steps[-1]))),
        known_at=max(step, int(loss.steps[at.rows - 1])),
        evidence=(
            facts_evidence(
                window,
                "data",
                (0, step),
                Bilingual("targets", "目标"),
                mean=mean,
                std=std,
                first_outputs=output,
            ),
            loss.evidence(mark=(), label=Bilingual("training loss", "训练损失")),
        ),
    )


def _harm(loss: Track, flag: Track | None, fields: Fields, at: Thresholds) -> Bilingual | None:
    if (flag is not None and (flag.values >= 1).any()) or not np.isfinite(loss.values).all():
        return Bilingual("the loss is no longer finite", "损失已不再有限")
    std = float(fields["target_std"])
    unit = 0.8 * std if fields.get("function") in _ABSOLUTE else std * std
    worse = float((loss.values > unit).mean())
    if worse < at.above:
        return None
    return Bilingual(
        f"in {worse:.0%} of the steps the loss is higher than for always saying their mean (limit "
        f"{at.above:.0%})",
        f"在 {worse:.0%} 的训练步中，损失高于始终预测目标均值时的损失（阈值 {at.above:.0%}）",
    )


def _size(fields: Fields, name: str) -> float:
    mean, std = fields.get(f"{name}_mean"), fields.get(f"{name}_std")
    if not isinstance(mean, (int, float)) or not isinstance(std, (int, float)):
        return 0.0
    return sqrt(mean * mean + std * std)


def _told(mean: float, std: float, first: float) -> Event:
    return event(
        "answers", step=5, function="mse_loss", looked_at=5, target_mean=mean, target_std=std,
        first_output_mean=0.0, first_output_std=first, file="t.py", line=9,
    )  # fmt: skip


_CALL = event("loss_call", function="mse_loss", file="t.py", line=9, calls=1)
CASES = (
    fires(
        "hardly learned", place="data", events=(_told(150, 77, 0.3), _CALL), loss__value={"loss": [2e4] * 30}
    ),
    fires(
        "not finite",
        events=(_told(150, 77, 0.3), _CALL),
        loss__value={"loss": [2e4] * 20 + [float("nan")] * 9},
    ),
    silent("learned", events=(_told(150, 77, 0.3), _CALL), loss__value={"loss": [2e4] * 5 + [2500.0] * 30}),
    silent("small targets", events=(_told(0, 1, 0.3), _CALL), loss__value={"loss": [1.0] * 30}),
    silent("outputs begin near", events=(_told(150, 77, 140), _CALL), loss__value={"loss": [6e3] * 30}),
    silent("too few steps", events=(_told(150, 77, 0.3), _CALL), loss__value={"loss": [2e4] * 19}),
)
