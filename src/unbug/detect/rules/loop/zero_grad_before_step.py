"""Gradients are cleared between backward and step.

Why it matters: the optimizer finds no gradient and changes nothing; the program runs, and learns nothing.
How it decides: in the order of calls of a step, `zero_grad` comes after the last `backward` and before
    `step`; in no order seen so far is it otherwise.
When it is wrong: `zero_grad` of a part of the model only.
What to do: call `zero_grad` before `backward`, or after `step`.
Source: PyTorch documentation of `Optimizer.zero_grad`; TrainCheck (arXiv:2506.14813) lists it among silent
    errors.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    orders,
    silent,
    threshold,
)

_CLEARED = re.compile(r"B[^FB\[\]]*Z[^FB\[\]]*S")
_SOUND = re.compile(r"B[^FZ\[\]]*S")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    words: int = threshold(1, unit="orders of calls", low=1, high=10, why="the order stands in the program")


@detector(
    "T102",
    "zero-grad-before-step",
    chinese="step 前清了梯度",
    diagnoses=("zero-grad-misplaced",),
    events=("loop_order",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    seen = orders(window)
    cleared = [(step, word) for step, word in seen if _CLEARED.search(word)]
    sound = [step for step, word in seen if _SOUND.search(word)]
    if len(cleared) < at.words or (sound and min(sound) <= cleared[at.words - 1][0]):
        return
    first, known_at, word = cleared[0][0], cleared[at.words - 1][0], cleared[0][1]
    yield Finding(
        place="loop",
        message=Bilingual(
            "zero_grad is called after backward and before step: the optimizer sees no gradient",
            "zero_grad 在 backward 之后、step 之前被调用：优化器看不到任何梯度",
        ),
        advice=Bilingual(
            "call zero_grad before backward, or after step", "在 backward 之前或 step 之后调用 zero_grad"
        ),
        steps=(first, known_at),
        known_at=known_at,
        evidence=(
            facts_evidence(
                window,
                "loop",
                (first, known_at),
                Bilingual("order of calls in a step", "一步内的调用顺序"),
                order=word,
                reading=_spelled(word),
            ),
        ),
    )


def _spelled(word: str) -> str:
    names = {"Z": "zero_grad", "F": "forward", "B": "backward", "C": "clip", "S": "step", "L": "scheduler"}
    return ", ".join(names[letter] for letter in word if letter in names)


CASES = (
    fires("between backward and step", place="loop", events=(event("loop_order", order="FBZS"),)),
    fires("before clipping", place="loop", events=(event("loop_order", order="F(FB)+ZCSL"),)),
    silent("before forward", events=(event("loop_order", order="ZFBS"),)),
    silent("before backward", events=(event("loop_order", order="FZBS"),)),
    silent("another optimizer's", events=(event("loop_order", order="FZBzsFBS"),)),
    silent("between two backward calls", events=(event("loop_order", order="FBZFBS"),)),
    silent("in a closure", events=(event("loop_order", order="S[ZFB]"),)),
    silent(
        "sound steps came first",
        events=(event("loop_order", order="ZFBS"), event("loop_order", step=9, order="FBZS")),
    ),
)
