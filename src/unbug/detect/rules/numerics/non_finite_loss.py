"""The loss is NaN or infinite.

Why it matters: its gradient is NaN too, and one optimizer step with it makes every weight NaN for good.
How it decides: `loss.nonfinite` is 1, or `loss.value` not finite, on `patience` recorded steps. The
    diagnosis looks back: non-finite inputs before it name the data; a gradient norm or loss that had grown
    `growth` times over its median names the divergence; with neither, a formula that produced it from
    finite numbers, or float16, whose range it left. Where a module's output already held NaN or infinity at
    that step, the first such module is the place; else, where a single line of the program calls a function
    that can give it (log, sqrt, division, pow, exp), that line is named.
When it is wrong: steps that GradScaler skips are left out; a program that itself drops bad batches is still
    told, since what it drops is not what it trains on.
What to do: look at the first step with a non-finite loss; there the inputs, then the formula of the loss.
Source: IEEE 754 arithmetic for the mechanism; kinds of numerical bugs in deep learning: Wang et al. 2022,
    "An empirical study on numerical bugs in deep learning programs". The growth is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Source,
    Track,
    Window,
    detector,
    fires,
    half_precision,
    last_checkpoint,
    program_line,
    silent,
    threshold,
)

_HALF_MOST = 65_504.0


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(1, unit="recorded steps", low=1, high=1000, why="NaN never heals by itself")
    growth: float = threshold(
        10.0, unit="times the median", low=2, high=1e6, why="batch noise stays below it"
    )


@detector(
    "N101",
    "non-finite-loss",
    chinese="损失非有限",
    diagnoses=("numeric-unsafe-op", "nonfinite-data"),
    reads=(
        "loss.value",
        "loss.nonfinite",
        "step.skipped",
        "grad.global_norm",
        "input.nonfinite_share",
        "activation.nonfinite_share",
        "weight.nonfinite_share",
    ),
    events=("checkpoint", "precision", "source"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.99,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    loss, flag = window.one("loss.value"), window.one("loss.nonfinite")
    bad = _bad_steps(loss, flag, window)
    if len(bad) < at.patience:
        return
    first, known = int(bad[0]), int(bad[at.patience - 1])
    track = loss if loss is not None and first in loss.steps else flag
    assert track is not None
    part = slice(*np.searchsorted(track.steps, [first, known + 1]))
    diagnoses, why = _origin(window, loss, first, at)
    kind = (
        Bilingual("infinite", "无穷")
        if np.isinf(track.values[part][0])
        else Bilingual("NaN or infinite", "NaN 或无穷")
        if track is flag
        else Bilingual("NaN", "NaN")
    )
    before = _last_finite(loss, first)
    was = (
        Bilingual(f"; it was {before:.4g} before", f"；此前为 {before:.4g}")
        if before is not None
        else Bilingual()
    )
    module = _first_module(window, first)
    at_module = (
        Bilingual()
        if module is None
        else Bilingual(
            f"; the first module to give it is {module.place}", f"；最先给出它的模块是 {module.place}"
        )
    )
    yield Finding(
        place="loss" if module is None else module.place,
        message=Bilingual(
            f"the loss is {kind} at step {first}{was}; {why}",
            f"损失在第 {first} 步为 {kind.zh}{was.zh}；{why.zh}",
        )
        + at_module,
        advice=Bilingual(
            "look for log(0), division by zero, sqrt(0) or overflow in the loss at this step",
            "检查这一步的损失中是否有 log(0)、除以零、sqrt(0) 或溢出",
        )
        + last_checkpoint(window, first),
        diagnoses=diagnoses,
        source=_formula(window) if module is None and "numeric-unsafe-op" in diagnoses else None,
        evidence=(track.evidence(part, label=Bilingual("loss", "损失")),),
    )


def _left_float16(loss: Track | None, first: int) -> bool:
    """Whether a loss that lay just below the largest float16 became infinite."""
    if loss is None or not np.isinf(loss.values[loss.steps == first]).any():
        return False
    before = np.abs(loss.before(first).values)
    return bool(len(before) and _HALF_MOST / 20 <= before.max() <= _HALF_MOST)


def _first_module(window: Window, step: int) -> Track | None:
    """The first module, in network order, whose output was not finite at a step; None if its weights were
    not."""
    for track in window.read("weight.nonfinite_share"):
        if (track.values[track.steps <= step] > 0).any():
            return None
    for track in window.read("activation.nonfinite_share"):
        if (track.values[track.steps == step] > 0).any():
            return track
    return None


def _formula(window: Window) -> Source | None:
    """The only line that calls a function of which some argument makes NaN or infinity."""
    return program_line(
        window,
        r"(torch|F|\)|\]|\b[a-z]\w*)\.(log|log2|log10|sqrt|rsqrt|reciprocal|acos|asin|exp|pow|div)_?\(",
    )


def _bad_steps(loss: Track | None, flag: Track | None, window: Window) -> np.ndarray:
    bad = (
        [t.steps[mask] for t, mask in ((flag, flag.values >= 1),) if t is not None]
        if flag is not None
        else []
    )
    if loss is not None:
        bad.append(loss.steps[~np.isfinite(loss.values)])
    skipped = window.one("step.skipped")
    excused = skipped.steps[skipped.values >= 1] if skipped is not None else np.zeros(0, np.int64)
    return np.setdiff1d(np.concatenate(bad), excused) if bad else np.zeros(0, np.int64)


def _last_finite(loss: Track | None, first: int) -> float | None:
    if loss is None:
        return None
    values = loss.before(first).values
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else None


def _origin(
    window: Window, loss: Track | None, first: int, at: Thresholds
) -> tuple[tuple[str, ...], Bilingual]:
    """What the steps before tell about where it came from."""
    for track in window.read("input.nonfinite_share"):
        before = track.before(first + 1)
        if (before.values > 0).any():
            return ("nonfinite-data",), Bilingual(
                "the model's input already held NaN or infinity", "模型的输入中已含 NaN 或无穷"
            )
    norm = window.one("grad.global_norm")
    norm_name, loss_name = Bilingual("the gradient norm", "梯度范数"), Bilingual("the loss", "损失")
    for grown, what in ((norm, norm_name), (loss, loss_name)):
        values = np.abs(grown.before(first).values) if grown is not None else np.zeros(0)
        values = values[np.isfinite(values)]
        if len(values) > 1 and (middle := float(np.median(values[:-1]))) > 0:
            times = float(values[-3:].max()) / middle
            if times >= at.growth:
                return ("exploding-gradient", "lr-too-high"), Bilingual(
                    f"{what} had grown to {times:.3g} times its median",
                    f"{what.zh}此前已增长到中位数的 {times:.3g} 倍",
                )
    if half_precision(window) == "float16" or _left_float16(loss, first):
        return ("low-precision", "numeric-unsafe-op"), Bilingual(
            "it fits float16, which ends at 65,504 and knows nothing between 0 and 6e-8",
            "与 float16 相符：最大只到 65,504，0 与 6e-8 之间没有任何数",
        )
    if first == 0:
        return ("numeric-unsafe-op", "nonfinite-data"), Bilingual(
            "it was so from the first step", "从第一步起就是如此"
        )
    return ("numeric-unsafe-op", "nonfinite-data"), Bilingual(
        "nothing had grown before: a formula made it", "此前没有任何量增长：是某个公式产生了它"
    )


_NAN, _INF = float("nan"), float("inf")
CASES = (
    fires("one NaN", place="loss", loss__value={"loss": [1.0, 0.9, _NAN]}),
    fires(
        "the module that gave it",
        place="head",
        loss__value={"loss": [1.0, _NAN]},
        activation__nonfinite_share={"body": [0.0, 0.0], "head": [0.0, 0.5], "loss_fn": [0.0, 1.0]},
    ),
    fires(
        "float16",
        diagnoses=("low-precision", "numeric-unsafe-op"),
        places=(Place(path="fc.weight", kind="parameter", shape=(4, 4), dtype="float16"),),
        loss__value={"loss": [1.0, _NAN]},
    ),
    fires(
        "a loss that was near the end of float16",
        diagnoses=("low-precision", "numeric-unsafe-op"),
        loss__value={"loss": [20_000.0, 8_848.0, _INF]},
    ),
    fires("one infinity", place="loss", loss__value={"loss": [1.0, 0.9, _INF]}),
    fires("the flag alone", place="loss", loss__nonfinite={"loss": [0.0, 0.0, 1.0]}),
    fires(
        "bad input",
        diagnoses=("nonfinite-data",),
        loss__value={"loss": [1.0, _NAN]},
        input__nonfinite_share={"data": [0.0, 0.01]},
    ),
    fires(
        "diverged before, growth just reached",
        diagnoses=("exploding-gradient", "lr-too-high"),
        loss__value={"loss": [1.0, 1.0, 1.0, 1.0, _NAN]},
        grad__global_norm={"optimizer": [1.0, 1.0, 1.0, 10.0]},
    ),
    fires(
        "growth just missed",
        diagnoses=("numeric-unsafe-op", "nonfinite-data"),
        loss__value={"loss": [1.0, 1.0, 1.0, 1.0, _NAN]},
        grad__global_norm={"optimizer": [1.0, 1.0, 1.0, 9.9]},
    ),
    silent(
        "all finite, however large", loss__value={"loss": [1.0, 1e30]}, loss__nonfinite={"loss": [0.0, 0.0]}
    ),
    silent(
        "GradScaler skipped that step",
        loss__value={"loss": [1.0, _INF, 0.9]},
        step__skipped={"loop": [0.0, 1.0, 0.0]},
    ),
)
