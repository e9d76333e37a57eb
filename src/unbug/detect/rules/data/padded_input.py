"""Most tokens of the input are padding.

Why it matters: time and memory go into positions that say nothing; where the padding is not masked, it also
    counts in losses, means and attention.
How it decides: of the tokens given in training at least `share` lie in runs of one number that fill up the
    ends of sequences.
When it is wrong: a number at the ends of sequences that means something.
What to do: put sequences of like length into one batch, cut the longest ones, or pack them.
Source: AWS, Amazon SageMaker Debugger, rule NLPSequenceRatio, for the quantity; the number is ours.
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
from unbug.detect.given import given


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(0.5, unit="of the tokens", low=0.05, high=1.0, why="more than the text itself")
    tokens: int = threshold(1000, unit="tokens", low=10, high=10**9, why="fewer are no measure")


@detector(
    "D115",
    "padded-input",
    chinese="输入大多为填充",
    diagnoses=("padding-in-loss",),
    events=("given",),
    severity=Severity.NOTE,
    since="0.3",
    confidence=0.8,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, fields in given(window, "train"):
        count, padded = int(fields.get("token_count") or 0), int(fields.get("token_padded") or 0)
        if count < at.tokens or padded < at.share * count:
            continue
        number = int(fields.get("token_padding") or 0)
        yield Finding(
            place="data",
            message=Bilingual(
                f"{padded / count:.0%} of {count} input tokens are padding with number {number} "
                f"(limit {at.share:.0%})",
                f"{count} 个输入词元中有 {padded / count:.0%} 是编号为 {number} 的填充（阈值 "
                f"{at.share:.0%}）",
            ),
            advice=Bilingual(
                "batch sequences of like length together, and leave the padding out of the loss "
                "(ignore_index)",
                "把长度相近的序列放入同一批次，并在损失中忽略填充（ignore_index）",
            ),
            steps=(0, step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("tokens", "词元"),
                    tokens=count,
                    padded=padded,
                    number=number,
                ),
            ),
        )
        return


CASES = (
    fires(
        "just half",
        place="data",
        events=(event("given", token_count=1000, token_padded=500, token_padding=0),),
    ),
    silent("less", events=(event("given", token_count=1000, token_padded=499, token_padding=0),)),
    silent("few tokens", events=(event("given", token_count=999, token_padded=900, token_padding=0),)),
)
