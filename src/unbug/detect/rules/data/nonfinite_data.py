"""The data hold NaN or infinite values, and the training breaks on them.

Why it matters: one such value in an input makes every output, the loss and then every weight NaN.
How it decides: inputs (or targets of a regression) that are not finite were given at or before the first step
    with a loss that is not finite. A program that masks them, so that its loss stays finite, is not told.
When it is wrong: another cause broke the loss at the same time.
What to do: find the rows (`torch.isfinite`), and drop or fill them before training.
Source: IEEE 754 arithmetic; Wang et al. 2022, "An empirical study on numerical bugs in deep learning
    programs".
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Evidence,
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
from unbug.detect.given import answers, given, numbers, told_at


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(1, unit="steps", low=1, high=1000, why="one bad value is enough")


@detector(
    "D108",
    "non-finite-data",
    chinese="数据含非有限值",
    diagnoses=("nonfinite-data",),
    reads=("loss.nonfinite", "input.nonfinite_share"),
    events=("given", "answers"),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.97,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    flag = window.one("loss.nonfinite")
    if flag is None:
        return
    bad = flag.steps[flag.values >= 1]
    if len(bad) < at.patience:
        return
    first, known = int(bad[0]), int(bad[at.patience - 1])
    found = _inputs(window, first) or _targets(window, first)
    if found is None:
        return
    what, message, evidence = found
    source = data_line(window, what)
    if source is None and what == "target":
        source = next((told_at(fields) for _, fields in answers(window, "train")), None)
    yield Finding(
        place="data",
        message=message
        + Bilingual(f"; the loss is not finite from step {first} on", f"；损失自第 {first} 步起不再有限"),
        advice=Bilingual(
            "drop or fill the rows that are not finite (torch.isfinite) before training",
            "训练前用 torch.isfinite 找出并删除或填补这些非有限的行",
        ),
        steps=(min(first, evidence.steps[0]), known),
        known_at=known,
        source=source,
        evidence=(evidence,),
    )


def _inputs(window: Window, step: int) -> tuple[str, Bilingual, Evidence] | None:
    for track in window.read("input.nonfinite_share", place="data"):
        rows = np.flatnonzero((track.steps <= step) & (track.values > 0))
        if len(rows):
            share = float(track.values[rows[0]])
            text = Bilingual(
                f"{share:.2%} of the values of an input are not finite",
                f"输入中有 {share:.2%} 的值不是有限数",
            )
            part = slice(int(rows[0]), int(rows[0]) + 1)
            label = Bilingual("share of inputs that are not finite", "非有限输入的占比")
            return "input", text, track.evidence(part, label=label)
    for known, fields in given(window, "train"):
        share_of = numbers(fields, "nan_share") + numbers(fields, "inf_share")
        if known <= step and len(share_of) and np.nanmax(share_of) > 0:
            index, share = int(np.nanargmax(share_of)), float(np.nanmax(share_of))
            text = Bilingual(
                f"{share:.2%} of the values of input feature {index} are not finite",
                f"输入特征 {index} 有 {share:.2%} 的值不是有限数",
            )
            label = Bilingual("inputs", "输入")
            return (
                "input",
                text,
                facts_evidence(window, "data", (known, known), label, feature=index, share=share),
            )
    return None


def _targets(window: Window, step: int) -> tuple[str, Bilingual, Evidence] | None:
    for known, fields in answers(window, "train"):
        count = int(fields.get("target_nonfinite") or 0)
        if known <= step and count:
            text = Bilingual(f"{count} targets are not finite", f"有 {count} 个目标不是有限数")
            label = Bilingual("targets", "目标")
            return "target", text, facts_evidence(window, "data", (known, known), label, targets=count)
    return None


_BROKEN = {"loss": [0.0, 0.0, 1.0]}
_HOLES = event("given", step=2, nan_share=[0.0, 0.01], inf_share=[0.0, 0.0])
CASES = (
    fires("a hole in a feature", place="data", events=(_HOLES,), loss__nonfinite=_BROKEN),
    fires("seen in a batch", loss__nonfinite=_BROKEN, input__nonfinite_share={"data": [0.0, 0.0, 0.1]}),
    fires("a target", events=(event("answers", step=1, target_nonfinite=2),), loss__nonfinite=_BROKEN),
    silent("masked by the program", events=(_HOLES,), loss__nonfinite={"loss": [0.0] * 9}),
    silent("clean data", loss__nonfinite=_BROKEN, input__nonfinite_share={"data": [0.0] * 3}),
    silent(
        "after the loss broke",
        events=(event("given", step=9, nan_share=[0.5], inf_share=[0.0]),),
        loss__nonfinite={"loss": [0.0, 1.0]},
    ),
)
