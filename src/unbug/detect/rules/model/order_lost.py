"""The order of positions never reaches what an attention model says.

Why it matters: attention alone sees a collection, not a sequence. Where the order of the tokens decides, the
    model can only guess.
How it decides: a probe at the end of the program shuffles the positions of the input of a model with
    attention and without recurrent or convolution layers: its outputs change by less than `change` standard
    deviations (those of one position follow it). That order matters is told by the examples themselves: of
    at least `pairs` pairs that only order tells apart, a share of `other` or more has different targets; or
    the model predicts next tokens. Else it is a note.
When it is wrong: collections on purpose (sets, bags of words) whose labels are noisy.
What to do: add positions to the embeddings: `x + self.pos(torch.arange(length))`, a sinusoidal table, or
    rotary embeddings.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5; all numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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
    module_place,
    probed,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    change: float = threshold(
        0.001,
        unit="standard deviations of the output",
        low=0.00001,
        high=1,
        why="ten times what rounding does",
    )
    pairs: int = threshold(
        8, unit="pairs of examples", low=1, high=10_000, why="more than a few wrong labels"
    )
    other: float = threshold(
        0.25, unit="fraction of pairs", low=0.01, high=1.0, why="where order is nothing, all have one target"
    )


@detector(
    "M122",
    "order-lost",
    chinese="位置顺序丢失",
    diagnoses=("missing-positional-encoding",),
    events=("probe",),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "order"):
        change = found.get("change")
        if change is None or change >= at.change:
            continue
        pairs, other = int(found.get("same_tokens") or 0), int(found.get("same_tokens_other_target") or 0)
        matters = pairs >= at.pairs and other >= at.other * pairs
        model, source = module_place(window, "", otherwise=str(found.get("model") or "model"))
        shown = (
            Bilingual(
                f"; of {pairs} pairs that only order tells apart, {other} have different targets",
                f"；在仅顺序不同的 {pairs} 对样本中，有 {other} 对的目标不同",
            )
            if matters
            else ""
        )
        yield Finding(
            place=model,
            severity=None if matters or found.get("next_token") else Severity.NOTE,
            message=Bilingual(
                "the order of positions does not reach the output: shuffled inputs give the same",
                "位置顺序没有进入输出：打乱输入后结果不变",
            )
            + shown,
            advice=Bilingual(
                "add positions to the embeddings, e.g. x + self.pos(torch.arange(length))",
                "给嵌入加上位置信息，例如 x + self.pos(torch.arange(length))",
            ),
            steps=(0, step),
            known_at=step,
            source=source,
            evidence=(
                facts_evidence(
                    window,
                    model,
                    (0, step),
                    Bilingual("positions were shuffled", "打乱了位置"),
                    change_in_deviations=round(float(change), 6),
                    pairs_that_only_order_tells_apart=pairs,
                    of_these_with_other_targets=other,
                    position_parameters=list(found.get("position_parameters") or ()),
                ),
            ),
        )


def _result(change: float, pairs: int = 0, other: int = 0, *, next_token: bool = False) -> Event:
    return event(
        "probe",
        step=99,
        probe="order",
        possible=True,
        model="Encoder",
        change=change,
        next_token=next_token,
        same_tokens=pairs,
        same_tokens_other_target=other,
    )


CASES = (
    fires("targets depend on order", severity=Severity.WARNING, events=(_result(0.0, 100, 50),)),
    fires("exactly at the thresholds", severity=Severity.WARNING, events=(_result(0.0009, 8, 2),)),
    fires("next tokens", severity=Severity.WARNING, events=(_result(0.0, next_token=True),)),
    fires("a set transformer: a note", severity=Severity.NOTE, events=(_result(0.0, 100, 0),)),
    fires("nothing tells whether order matters: a note", severity=Severity.NOTE, events=(_result(0.0),)),
    fires("a few wrong labels: a note", severity=Severity.NOTE, events=(_result(0.0, 100, 20),)),
    silent("shuffling changes the output", events=(_result(0.3, 100, 50),)),
    silent("exactly the change of a model that knows", events=(_result(0.001, 100, 50),)),
    silent(
        "no attention",
        events=(event("probe", probe="order", possible=False, why_not="the model has no attention"),),
    ),
)
