"""A sequence model sees the token that it has to predict.

Why it matters: the training loss is excellent and worthless. When the model generates, the next token is not
    there to be copied, and it has learnt nothing else.
How it decides: a probe at the end of the program, on a copy in evaluation mode. Only where the targets are
    the inputs one position later, it replaces the input behind a few cuts by other tokens: what
    the model says in front of a cut must not change. It is an error where changing only the next position,
    the answer itself, is enough at `cuts` cuts; a warning where only later ones reach back.
When it is wrong: where the targets are the next inputs but the model may see them on purpose, as in a
    smoother.
What to do: mask the diagonal above the main one, `torch.triu(ones, diagonal=1)`, or hand `is_causal=True` to
    the attention; feed recurrent layers in one direction; pad convolutions on the left only.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3; that it takes `cuts` cuts is ours.
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
    module_place,
    probed,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    cuts: int = threshold(1, unit="cuts", low=1, high=3, why="no causal model lets one through")
    change: float = threshold(
        0.01,
        unit="standard deviations of the output",
        low=0.0001,
        high=10,
        why="a hundred times what rounding does",
    )


@detector(
    "M120",
    "causal-mask-leak",
    chinese="因果掩码泄漏",
    diagnoses=("causal-mask-leak",),
    events=("probe",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.96,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for step, found in probed(window, "later-positions"):
        leaking, near = int(found.get("leaking_cuts") or 0), int(found.get("next_leaks") or 0)
        change = float(found.get("change") or 0.0)
        if leaking < at.cuts or change < at.change:
            continue
        model = str(found.get("model") or "")
        place, source = module_place(window, str(found.get("module") or ""), otherwise=model or "model")
        kind = str(found.get("class_name") or model)
        reached = (
            Bilingual("the next token, which is the target", "下一个词元，也就是目标本身")
            if near
            else Bilingual("tokens further on", "更靠后的词元")
        )
        yield Finding(
            place=place,
            severity=None if near >= at.cuts else Severity.WARNING,
            message=Bilingual(
                f"the model sees {reached}, first in {kind}: outputs change with inputs behind them",
                f"模型看到了{reached.zh}（首先出现在 {kind} 中）：输出会随其后位置的输入而改变",
            ),
            advice=Bilingual(
                "mask all later positions: torch.triu(ones, diagonal=1), or is_causal=True",
                "屏蔽所有靠后的位置：torch.triu(ones, diagonal=1)，或设置 is_causal=True",
            ),
            steps=(0, step),
            known_at=step,
            source=source,
            evidence=(
                facts_evidence(
                    window,
                    place,
                    (0, step),
                    Bilingual("inputs behind a cut were replaced", "替换了切点之后的输入"),
                    cuts=found.get("cuts"),
                    leaking_cuts=leaking,
                    next_position_alone=near,
                    largest_change_in_deviations=round(change, 4),
                ),
            ),
        )


def _result(leaking: int, near: int, change: float, **fields: Any) -> Event:
    return event(
        "probe", step=99, probe="later-positions", possible=True, model="GPT", cuts=3, leaking_cuts=leaking,
        next_leaks=near, change=change, **fields,
    )  # fmt: skip


CASES = (
    fires("the next token is enough", severity=Severity.ERROR, events=(_result(3, 3, 2.0),)),
    fires("exactly at both thresholds", place="GPT", events=(_result(1, 1, 0.01),)),
    fires("only tokens further on", severity=Severity.WARNING, events=(_result(2, 0, 0.5),)),
    silent("nothing behind a cut reaches back", events=(_result(0, 0, 0.0),)),
    silent("a change as small as rounding", events=(_result(1, 1, 0.0099),)),
    silent(
        "a bidirectional encoder is not asked",
        events=(event("probe", probe="later-positions", possible=False, why_not="other targets"),),
    ),
    silent("no probes were run", loss__value={"loss": [2.3] * 9}),
    silent("other probes only", events=(event("probe", probe="other-examples", mixed_1=1.0),)),
)
