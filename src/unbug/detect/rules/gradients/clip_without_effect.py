"""Gradients are clipped where it does nothing: after the step, or before backward.

Why it matters: the step has used the gradient at its full length; what is clipped is cleared or
    overwritten. The program looks protected from exploding gradients, and is not.
How it decides: in the order of calls of a step, clipping comes behind `step` or in front of `backward`, and
    in no order seen so far does it come between them.
When it is wrong: a program that clips for another optimizer, or uses the clipped gradients for something
    else.
What to do: call `clip_grad_norm_` after `backward` and before `step`.
Source: PyTorch documentation of `torch.nn.utils.clip_grad_norm_`.
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
    program_line,
    silent,
    threshold,
)

_SOUND = re.compile(r"B[^FBZ]*C[^FBZ]*S")
_VAIN = re.compile(r"^[^C]*B[^C]*S[^FB]*C|C[^SB]*B[^C]*S")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    words: int = threshold(1, unit="orders of calls", low=1, high=10, why="the order stands in the program")


@detector(
    "G105",
    "clipping-without-effect",
    chinese="梯度裁剪无效",
    diagnoses=("exploding-gradient",),
    events=("loop_order",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    seen = orders(window)
    if any("s" in word or "[" in word for _, word in seen):
        return
    sound = [step for step, word in seen if _SOUND.search(word)]
    vain = [(step, word) for step, word in seen if _VAIN.search(word) and not _SOUND.search(word)]
    if len(vain) < at.words or (sound and min(sound) <= vain[at.words - 1][0]):
        return
    first, known_at, word = vain[0][0], vain[at.words - 1][0], vain[0][1]
    after = word.rfind("C") > word.rfind("S")
    yield Finding(
        place="loop",
        message=Bilingual(
            "gradients are clipped after the step has used them", "梯度在 step 用过之后才被裁剪"
        )
        if after
        else Bilingual(
            "gradients are clipped before backward computes them", "梯度在 backward 计算之前就被裁剪"
        ),
        advice=Bilingual("clip after backward and before step", "在 backward 之后、step 之前裁剪梯度"),
        steps=(first, known_at),
        known_at=known_at,
        source=program_line(window, r"clip_grad(_norm|_value)?_?\("),
        evidence=(
            facts_evidence(
                window,
                "loop",
                (first, known_at),
                Bilingual("order of calls in a step", "一步内的调用顺序"),
                order=word,
            ),
        ),
    )


CASES = (
    fires("after the step", place="loop", events=(event("loop_order", order="ZFBSC"),)),
    fires("before backward", events=(event("loop_order", order="ZFCBS"),)),
    silent("between them", events=(event("loop_order", order="ZFBCS"),)),
    silent("after accumulation", events=(event("loop_order", order="Z(FB)+CSL"),)),
    silent("after each backward", events=(event("loop_order", order="Z(FBC)+S"),)),
    silent("a step that only accumulates", events=(event("loop_order", order="ZFBS"),)),
    silent("in a closure", events=(event("loop_order", order="S[ZFBC]"),)),
    silent("another optimizer's", events=(event("loop_order", order="ZFBSZFBCs"),)),
    silent(
        "sound first", events=(event("loop_order", order="ZFBCS"), event("loop_order", step=5, order="ZFBSC"))
    ),
)
