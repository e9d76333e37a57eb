"""What was looked at, in a sentence, where nothing was found: or why there was nothing to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbug.report.words import count
from unbug.types import Bilingual

if TYPE_CHECKING:
    from unbug.detect import Diagnosis

__all__ = ["looked_at"]

_NO_TORCH = "the program did not import torch"
_NO_STEP = Bilingual(
    "No optimizer step was recorded, so most rules had nothing to look at.",
    "没有记录到优化器的步，因此多数规则无从检查。",
)


def looked_at(diagnosis: Diagnosis) -> Bilingual:
    """What the rules had before them; where there was no step, why."""
    steps = sum(training.steps for training in diagnosis.trainings)
    if not steps and _NO_TORCH in diagnosis.unseen:
        return Bilingual(
            "The program did not import torch: there was no training to look at.",
            "程序没有导入 torch，因此没有可检查的训练。",
        )
    if not steps:
        return _NO_STEP
    rules, series = len(diagnosis.rules), diagnosis.series
    return Bilingual(
        f"{count(rules, 'rule')} looked at {series:,} series.", f"{rules} 条规则检查了 {series:,} 个序列。"
    )
