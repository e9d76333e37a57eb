"""Units of a hidden sigmoid or tanh layer sit in the flat part of their curve.

Why it matters: there the derivative is almost zero, so that no gradient passes to the layers before.
How it decides: the saturated share of a hidden layer's output is at or above `share` on `patience`
    consecutive recorded steps. A layer is hidden if weights come after it; an output that saturates is
    confident, not ill. If it is so from the start and the model's input reaches `input`, the unscaled input
    is the reason. Where it came later, and at once, behind an update of at least `thrown` times the weights,
    the learning rate threw it there; where it came slowly the codes may have hardened by themselves: a note.
When it is wrong: binary codes and gates that are meant to be hard.
What to do: standardise the inputs, or start with smaller weights.
Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks";
    the numbers are ours, see `docs/explanation/thresholds.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Track,
    Window,
    detector,
    fires,
    silent,
    threshold,
    total_ratio,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.9, unit="fraction", low=0.5, high=1.0, why="most units pass no gradient then")
    patience: int = threshold(12, unit="recorded steps", low=2, high=10_000, why="outlasts the first steps")
    input: float = threshold(
        30.0, unit="largest input", low=1, high=1e9, why="standardised inputs stay below 10"
    )
    thrown: float = threshold(1.0, unit="times the weights", low=0.01, high=1e6, why="healthy: below 0.2")


@detector(
    "A102",
    "saturated-activation",
    chinese="激活饱和",
    diagnoses=("saturated-activation",),
    reads=("activation.saturated_share", "input.absmax", "update.ratio", "weight.l2"),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.85,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    last = max((p.order for p in window.places if p.kind == "parameter" and len(p.shape) >= 2), default=-1)
    for track in window.read("activation.saturated_share"):
        streak = first_streak(track.values >= at.share, at.patience)
        if streak is None or track.where.order > last:
            continue
        share, known_at = track.values[streak].min(), int(track.steps[streak.stop - 1])
        largest = _largest_input(window, known_at)
        unscaled = largest is not None and largest[1] >= at.input
        born = streak.start <= 1 and track.steps[streak.start] <= 2
        thrown = not _rested(window, track, streak.start, at.thrown)
        evidence = [
            track.evidence(
                streak, threshold=at.share, label=Bilingual("share of saturated outputs", "饱和输出占比")
            )
        ]
        if largest is not None and unscaled:
            seen = largest[0].before(known_at + 1)
            evidence.append(seen.evidence(threshold=at.input, label=Bilingual("largest input", "最大输入")))
        yield Finding(
            place=track.place,
            message=Bilingual(
                f"at least {share:.0%} of the outputs are saturated on {at.patience} recorded steps "
                f"(limit {at.share:.0%})",
                f"至少 {share:.0%} 的输出饱和，持续 {at.patience} 个记录步（阈值 {at.share:.0%}）",
            )
            + (
                Bilingual(f"; inputs reach {largest[1]:.4g}", f"；输入高达 {largest[1]:.4g}")
                if largest and unscaled
                else ""
            ),
            advice=Bilingual(
                "lower the learning rate by a factor of 10 or more", "把学习率除以 10 或更大的数"
            )
            if thrown
            else Bilingual("standardise the inputs", "对输入做标准化")
            if unscaled
            else Bilingual(
                "start with smaller weights, or use another activation", "用更小的初始权重，或换一种激活函数"
            ),
            diagnoses=("lr-too-high", "saturated-activation")
            if thrown
            else ("unnormalized-input", "saturated-activation")
            if unscaled
            else None,
            severity=None if born or thrown else Severity.NOTE,
            steps=(int(track.steps[streak.start]), known_at),
            known_at=known_at,
            evidence=tuple(evidence),
            weight=share,
        )


def _rested(window: Window, track: Track, row: int, limit: float) -> bool:
    """Whether no update up to a row of a layer that was not saturated before was longer than that."""
    update = total_ratio(window, "update.ratio", relative=True)
    if row == 0 or update is None:
        return True
    before = update.before(int(track.steps[row])).values
    return not (before[np.isfinite(before)] >= limit).any()


def _largest_input(window: Window, until: int) -> tuple[Track, float] | None:
    seen = [t for t in (track.before(until + 1) for track in window.read("input.absmax")) if len(t)]
    if not seen:
        return None
    worst = max(seen, key=lambda t: t.values.max())
    return worst, float(worst.values.max())


_TANH = Place(path="act", kind="module", class_name="torch.nn.modules.activation.Tanh", order=1)
_AFTER = Place(path="out.weight", kind="parameter", shape=(3, 4), order=2)
_BEFORE = Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0)
CASES = (
    fires(
        "exactly at both thresholds",
        place="act",
        places=(_TANH, _AFTER),
        diagnoses=("saturated-activation",),
        activation__saturated_share={"act": [0.9] * 12},
        input__absmax={"data": [29.9] * 12},
    ),
    fires(
        "unscaled inputs",
        places=(_TANH, _AFTER),
        diagnoses=("unnormalized-input", "saturated-activation"),
        activation__saturated_share={"act": [0.9] * 12},
        input__absmax={"data": [30.0] * 12},
    ),
    fires(
        "codes that harden by themselves",
        severity=Severity.NOTE,
        places=(_TANH, _AFTER),
        activation__saturated_share={"act": [0.1] * 5 + [0.9] * 12},
    ),
    fires(
        "thrown there by one update",
        severity=Severity.WARNING,
        diagnoses=("lr-too-high", "saturated-activation"),
        places=(_TANH, _AFTER),
        activation__saturated_share={"act": [0.1] * 5 + [0.9] * 12},
        weight__l2={"out.weight": [1.0] * 17},
        update__ratio={"out.weight": [0.1, 1.0] + [0.1] * 15},
    ),
    silent("one step short", places=(_TANH, _AFTER), activation__saturated_share={"act": [1.0] * 11}),
    silent("just under the share", places=(_TANH, _AFTER), activation__saturated_share={"act": [0.899] * 99}),
    silent(
        "the output of the network", places=(_BEFORE, _TANH), activation__saturated_share={"act": [1.0] * 99}
    ),
)
