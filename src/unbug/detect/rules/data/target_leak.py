"""One input feature tells the target alone, far better than all others.

Why it matters: such a column was mostly made from the target, and is not there when the model is used; what
    is measured with it says nothing.
How it decides: over at least `rows` examples one feature alone explains all but `left` of the variance that
    goes with the target (between classes, or by its correlation with a number), at least `apart` times closer
    than the next feature, while another one explains at least `others`: these are data of a real kind, not a
    target made up from one column.
When it is wrong: a number that hardly changes from one time to the next, with its last value among the
    features.
What to do: drop the column, and look how it was made; if it is there at the time of use, keep it.
Source: Kaufman et al. 2012, "Leakage in data mining"; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Event,
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
from unbug.detect.dataline import data_line
from unbug.detect.given import numbers, told_at


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    rows: int = threshold(100, unit="examples", low=20, high=10**6, why="fewer fit by chance")
    left: float = threshold(0.01, unit="of the variance", low=0, high=0.3, why="honest features leave more")
    apart: float = threshold(25.0, unit="times", low=2, high=1e9, why="lagged values are alike, within 4")
    others: float = threshold(0.03, unit="of the variance", low=0, high=1, why="above what chance gives")
    features: int = threshold(3, unit="features", low=2, high=256, why="with two, one often is all")


@detector(
    "D111",
    "target-leak",
    chinese="输入特征泄漏目标",
    diagnoses=("target-leak",),
    events=("association",),
    severity=Severity.WARNING,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for told in window.events("association"):
        fields = told.fields
        rows, classes = int(fields.get("rows") or 0), int(fields.get("classes_seen") or 0)
        share = numbers(fields, "explained")
        share = np.where(np.isfinite(share), share, 0.0)
        if len(share) < at.features or rows < max(at.rows, 20 * classes):
            continue
        order = np.argsort(-share)
        best, second = int(order[0]), float(share[order[1]])
        left = 1 - float(share[best])
        if left > at.left or (1 - second) < at.apart * max(left, 1e-6) or second < at.others:
            continue
        step = max(told.step, 0)
        yield Finding(
            place="data",
            message=Bilingual(
                f"input feature {best} alone explains {share[best]:.2%} of what goes with the target "
                f"over {rows} "
                f"examples, the next best {second:.1%}",
                f"在 {rows} 个样本上，输入特征 {best} 单独就能解释目标的 {share[best]:.2%}，"
                f"次好的特征只有 {second:.1%}",
            ),
            advice=Bilingual(
                "find out how this column was made, and drop it if it is not known when the model is used",
                "查明该列是如何产生的；如果使用模型时它还不存在，就将其删除",
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "input") or told_at(fields),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("share of the target that each feature explains", "每个特征对目标的解释占比"),
                    explained=[float(one) for one in share[:256]],
                ),
            ),
        )
        return


def _told(*explained: float, rows: int = 100, classes: int = 0) -> Event:
    return event("association", step=9, rows=rows, classes_seen=classes, explained=list(explained))


CASES = (
    fires("a copy of the target", place="data", events=(_told(0.1, 1.0, 0.2),)),
    fires("a copy with noise", events=(_told(0.1, 0.991, 0.2, classes=2),)),
    silent("a target made of one column", events=(_told(0.01, 1.0, 0.02),)),
    silent("lagged values of a smooth series", events=(_told(0.99, 0.998, 0.96),)),
    silent("a good feature", events=(_told(0.1, 0.94, 0.2),)),
    silent("few examples", events=(_told(0.1, 1.0, 0.2, rows=99),)),
    silent("few examples of many classes", events=(_told(0.1, 1.0, 0.2, classes=6),)),
    silent("two features", events=(_told(1.0, 0.2),)),
)
