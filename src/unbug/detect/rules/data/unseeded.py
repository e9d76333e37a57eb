"""Chance is not fixed: two runs of the program give different results.

Why it matters: a difference between two runs may come from chance alone, and a failure cannot be repeated.
How it decides: when the first training began, torch's generator had not been seeded. Where the program asked
    for deterministic algorithms all the same, that is a warning, else a note. It is asked of the first
    training.
When it is wrong: a program that makes its generators by hand, and draws from these alone.
What to do: `torch.manual_seed(0)` before the model is made; also `random.seed` and `numpy.random.seed` where
    these are used, and `torch.use_deterministic_algorithms(True)` on a GPU.
Source: PyTorch documentation, "Reproducibility".
"""

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
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(1, unit="steps", low=1, high=10**6, why="a training was begun")


@detector(
    "D114",
    "unseeded",
    chinese="未固定随机种子",
    diagnoses=("nondeterminism",),
    events=("seeds",),
    severity=Severity.NOTE,
    since="0.3",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for seen in window.events("seeds"):
        seeded = seen.fields.get("seeded")
        if seeded is None:
            continue
        if "torch" in seeded or window.training.number > 0 or window.steps < at.steps:
            return
        asked = bool(seen.fields.get("deterministic_algorithms"))
        step = max(seen.step, 0)
        others = ", ".join(str(one) for one in seeded) or "-"
        yield Finding(
            place="loop",
            message=Bilingual(
                f"torch was not seeded before the training began (seeded: {others}): two runs differ",
                f"训练开始之前没有为 torch 设置随机种子（已设置：{others}）：两次运行的结果会不同",
            ),
            advice=Bilingual(
                "call torch.manual_seed before the model is made", "在创建模型之前调用 torch.manual_seed"
            ),
            severity=Severity.WARNING if asked else None,
            steps=(step, step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    "loop",
                    (step, step),
                    Bilingual("seeded generators", "已设置种子的生成器"),
                    seeded=others,
                ),
            ),
        )
        return


CASES = (
    fires("nothing seeded", place="loop", severity=Severity.NOTE, events=(event("seeds", seeded=[]),)),
    fires(
        "determinism asked for, but no seed",
        severity=Severity.WARNING,
        events=(event("seeds", seeded=["numpy"], deterministic_algorithms=True),),
    ),
    silent("torch is seeded", events=(event("seeds", seeded=["torch"]),)),
    silent("seeded later", events=(event("seeds", torch=0),)),
)
