"""The targets of a sequence are not the next tokens: but the tokens themselves, ones before, or later ones.

Why it matters: a model that is asked for the token that it sees there learns to copy: its loss falls to
    nothing, and it can predict nothing. One that is asked for a later token learns another task.
How it decides: a probe at the end of the program compares the tokens that the model is given with the targets
    of the kept batches. They agree at one shift in nearly all places. At shift 0 and below it is an error if
    the model cannot see later places (a causal mask, or a recurrence in one direction), and a note else; at
    a shift of 2 and more a warning.
When it is wrong: models that predict several tokens ahead on purpose; autoencoders of tokens (a note only).
What to do: `inputs = tokens[:, :-1]`, `targets = tokens[:, 1:]`; shift once, in one place (models of
    `transformers` shift by themselves).
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", for the next token as
    target; the numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
    probed,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    positions: int = threshold(200, unit="places", low=20, high=10**6, why="beyond any doubt")


@detector(
    "D133",
    "shifted-targets",
    chinese="目标移位错误",
    diagnoses=("misaligned-labels",),
    events=("probe",),
    severity=Severity.ERROR,
    since="0.3",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "targets"):
        shift, seen = found.get("shift"), int(found.get("shifted_positions") or 0)
        if shift is None or shift == 1 or seen < at.positions:
            continue
        causal = found.get("sees_later") is False
        what = (
            Bilingual("the token that stands there itself", "该位置的词元本身")
            if shift == 0
            else Bilingual(f"the token {-shift} place(s) before", f"前 {-shift} 个位置的词元")
            if shift < 0
            else Bilingual(f"the token {shift} places later", f"后 {shift} 个位置的词元")
        )
        yield Finding(
            place="data",
            severity=Severity.WARNING if shift > 1 else None if causal else Severity.NOTE,
            confidence=0.8 if shift > 1 else None if causal else 0.5,
            message=Bilingual(
                f"in all of {seen} places of the training sequences the target is ",
                f"训练序列的 {seen} 个位置上，目标都是",
            )
            + what
            + Bilingual(", not the next one", "，而不是下一个词元"),
            advice=Bilingual(
                "give `tokens[:, :-1]` and ask for `tokens[:, 1:]`; shift once, in one place",
                "输入 `tokens[:, :-1]`，目标取 `tokens[:, 1:]`；只在一处移位一次",
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "target"),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("tokens and targets", "词元与目标"),
                    shift=shift,
                    positions=seen,
                ),
            ),
        )


def _result(**fields: Any) -> Event:
    given: dict[str, Any] = {"possible": True, "shifted_positions": 4000, "sees_later": False}
    return event("probe", step=99, probe="targets", **{**given, **fields})


CASES = (
    fires("copies", place="data", severity=Severity.ERROR, events=(_result(shift=0),)),
    fires("the token before", severity=Severity.ERROR, events=(_result(shift=-1),)),
    fires("shifted twice", severity=Severity.WARNING, events=(_result(shift=2),)),
    fires("an autoencoder: a note", severity=Severity.NOTE, events=(_result(shift=0, sees_later=True),)),
    fires("not known: a note", severity=Severity.NOTE, events=(_result(shift=0, sees_later=None),)),
    silent("the next token", events=(_result(shift=1),)),
    silent("no shift fits", events=(_result(),)),
    silent("few places", events=(_result(shift=0, shifted_positions=199),)),
    silent("not possible", events=(event("probe", probe="targets", possible=False, why_not="one batch"),)),
)
