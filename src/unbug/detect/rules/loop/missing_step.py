"""Gradients are computed and cleared without a step of the optimizer.

Why it matters: what backward computed is thrown away; the model stays as it is, or learns from a small part
    of the batches that it is shown.
How it decides: either at least `cycles` times in a row gradients were computed and cleared while no
    optimizer made a step and no weight changed; or, later, at least `unused` backward passes come before
    each step, with `zero_grad` between them, so that only the last one counts.
When it is wrong: inner loops that clear the model's gradients on purpose: attacks that train against
    themselves, SAM, or measures of importance need fewer passes than `unused` for each step. Accumulation
    does not clear in between, and is not told.
What to do: call `optimizer.step()` after each `backward`, outside of any `if` that is rarely true.
Source: TrainCheck (arXiv:2506.14813) on the order of calls in a loop; the numbers are ours.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Source,
    Training,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    orders,
    program_line,
    silent,
    threshold,
)

_CLEARED = re.compile(r"Z[^S]*B|B[^S]*Z")
_DROPPED = re.compile(r"\(([A-Z]*B[A-Z]*Z|[A-Z]*Z[A-Z]*B)[A-Z]*\)\+|B[^Ss]*Z[^Ss]*B")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    cycles: int = threshold(5, unit="recorded steps", low=2, high=1000, why="a trial pass or two are usual")
    unused: int = threshold(16, unit="backward passes", low=2, high=10_000, why="attacks use about 10")
    patience: int = threshold(2, unit="steps", low=1, high=1000, why="once may be a measurement")


@detector(
    "T107",
    "missing-optimizer-step",
    chinese="缺少 optimizer.step",
    diagnoses=("missing-optimizer-step",),
    reads=("step.micro_steps", "weight.mean"),
    events=("loop_order",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.93,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    words = orders(window)
    if any("s" in word or "[" in word for _, word in words):
        return
    never = _never(window, words, at)
    if never is not None:
        since, known_at = never
        yield _finding(
            window,
            (since, known_at),
            Bilingual(
                f"gradients were computed and cleared {at.cycles} times without a step of the optimizer, and "
                "no weight changed",
                f"梯度被计算后又清除了 {at.cycles} 次，优化器没有执行任何一步，权重毫无变化",
            ),
            word=next(word for _, word in words if "S" not in word),
        )
        return
    rare = _rare(window, words, at)
    if rare is not None:
        since, known_at, passes, word = rare
        yield _finding(
            window,
            (since, known_at),
            Bilingual(
                f"only one of {passes} backward passes is followed by a step of the optimizer; what the "
                f"others "
                "computed is cleared",
                f"每 {passes} 次 backward 只有一次之后执行优化器的一步；其余的梯度都被清除了",
            ),
            word=word,
        )


def _finding(window: Window, steps: tuple[int, int], message: Bilingual, *, word: str) -> Finding:
    return Finding(
        place="loop",
        message=message,
        advice=Bilingual(
            "call optimizer.step() after each backward, inside the loop over batches",
            "在遍历批次的循环内，每次 backward 之后调用 optimizer.step()",
        ),
        steps=steps,
        known_at=steps[1],
        source=_line(window),
        evidence=(
            facts_evidence(
                window, "loop", steps, Bilingual("order of calls in a step", "一步内的调用顺序"), order=word
            ),
        ),
    )


def _line(window: Window) -> Source | None:
    return program_line(window, r"\.backward\(")


def _never(window: Window, words: tuple[tuple[int, str], ...], at: Thresholds) -> tuple[int, int] | None:
    """First and last of the steps that were no steps of an optimizer."""
    stepless = [step for step, word in words if "S" not in word and _CLEARED.search(word)]
    stepped = min((step for step, word in words if "S" in word), default=None)
    if not stepless or (stepped is not None and stepped <= stepless[0]):
        return None
    seen = []
    for track in window.read("weight.mean"):
        rows = track.steps >= stepless[0] if stepped is None else track.steps < stepped
        steps, values = track.steps[rows], track.values[rows]
        if len(values) > 1:
            if values[0] != values[1]:
                return None
            seen.append(int(steps[1]))
    if not seen:
        return None
    last = max(stepless[0] + at.cycles, min(seen))
    end = window.steps if stepped is None else stepped
    return None if last >= end else (stepless[0], last)


def _rare(
    window: Window, words: tuple[tuple[int, str], ...], at: Thresholds
) -> tuple[int, int, int, str] | None:
    """First and last step, backward passes in one, and the word."""
    micro = window.one("step.micro_steps")
    dropped = [(step, word) for step, word in words if "S" in word and _DROPPED.search(word)]
    if micro is None or not dropped:
        return None
    since, word = dropped[0]
    rows = np.flatnonzero((micro.steps >= since) & (micro.values >= at.unused))
    if len(rows) < at.patience:
        return None
    return since, int(micro.steps[rows[at.patience - 1]]), int(micro.values[rows[0]]), word


_CYCLE = (event("loop_order", order="ZFB"),)
_SELDOM = (event("loop_order", step=1, order="(ZFB)+S"),)
CASES = (
    fires("no step at all", place="loop", events=_CYCLE, weight__mean={"fc.weight": [0.5] * 6}),
    fires(
        "one of many",
        place="loop",
        events=_SELDOM,
        step__micro_steps={"loop": [1.0, 16.0, 16.0]},
    ),
    silent("too few cycles", events=_CYCLE, weight__mean={"fc.weight": [0.5] * 5}),
    silent(
        "it updates the weights by itself",
        events=_CYCLE,
        weight__mean={"fc.weight": [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]},
    ),
    silent("an attack in each step", events=_SELDOM, step__micro_steps={"loop": [15.0] * 9}),
    silent(
        "accumulation",
        events=(event("loop_order", order="Z(FB)+S"),),
        step__micro_steps={"loop": [64.0] * 9},
    ),
    silent(
        "several optimizers",
        events=(event("loop_order", order="(ZFB)+sZFBS"),),
        training=Training(number=0, steps=9, optimizers=("Adam", "Adam")),
        step__micro_steps={"loop": [64.0] * 9},
    ),
    silent(
        "in every step", events=(event("loop_order", order="ZFBS"),), step__micro_steps={"loop": [1.0] * 9}
    ),
)
