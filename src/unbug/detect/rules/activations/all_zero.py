"""A layer that should not do so gives nothing but zeros.

Why it matters: nothing passes it, forward or backward: all that lies before it is cut off, whatever it
    learned.
How it decides: every recorded value of a layer's output is zero on `patience` consecutive recorded steps.
    ReLU has a rule of its own and is left out, as are layers whose weights all are zero, which another rule
    tells.
When it is wrong: residual branches and gates that begin at zero on purpose and take long to move; therefore
    a note unless it lasts for `lasting` recorded steps.
What to do: look at the weights and the input of this layer, at masks, and at the rate of dropout in front
    of it.
Source: AWS, SageMaker Debugger rule AllZero; both numbers are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    fires,
    silent,
    threshold,
)
from unbug.numerics import first_streak

_LEFT_OUT = ("ReLU", "ReLU6", "Dropout", "Identity", "Threshold", "Hardshrink", "Softshrink", "Embedding")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(12, unit="recorded steps", low=2, high=10_000, why="outlasts the first steps")
    lasting: int = threshold(30, unit="recorded steps", low=2, high=10**6, why="a zero branch has moved then")


@detector(
    "A103",
    "all-zero-output",
    chinese="输出全为零",
    diagnoses=("bad-init", "degenerate-input"),
    reads=("activation.zero_share", "weight.absmax"),
    severity=Severity.WARNING,
    since="0.2",
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    zeros = {
        track.place.rpartition(".")[0]
        for track in window.read("weight.absmax")
        if len(track) and track.values[0] == 0 and track.place.endswith("weight")
    }
    for track in window.read("activation.zero_share"):
        if track.class_name.startswith(_LEFT_OUT) or track.place in zeros:
            continue
        for rows, severity in ((at.lasting, None), (at.patience, Severity.NOTE)):
            streak = first_streak(track.values >= 1, rows)
            if streak is None:
                continue
            yield Finding(
                place=track.place,
                message=Bilingual(
                    f"all outputs are zero on {rows} recorded steps in a row",
                    f"连续 {rows} 个记录步输出全为零",
                ),
                advice=Bilingual(
                    "look at the weights and the input of this layer, and at masks and dropout before it",
                    "检查该层的权重与输入，以及它之前的掩码和 dropout",
                ),
                severity=severity,
                evidence=(
                    track.evidence(streak, threshold=1.0, label=Bilingual("share of zeros", "零值占比")),
                ),
            )


def _place(kind: str) -> tuple[Place, ...]:
    return (Place(path="fc", kind="module", class_name=f"torch.nn.modules.linear.{kind}", order=0),)


CASES = (
    fires(
        "for long",
        place="fc",
        severity=Severity.WARNING,
        places=_place("Linear"),
        activation__zero_share={"fc": [1.0] * 30},
    ),
    fires(
        "for a while",
        severity=Severity.NOTE,
        places=_place("Linear"),
        activation__zero_share={"fc": [1.0] * 12},
    ),
    silent("one step short", places=_place("Linear"), activation__zero_share={"fc": [1.0] * 11}),
    silent("not all", places=_place("Linear"), activation__zero_share={"fc": [0.999] * 90}),
    silent("a ReLU", places=_place("ReLU"), activation__zero_share={"fc": [1.0] * 90}),
    silent(
        "its weights are zero",
        places=_place("Linear"),
        activation__zero_share={"fc": [1.0] * 90},
        weight__absmax={"fc.weight": [0.0]},
    ),
)
