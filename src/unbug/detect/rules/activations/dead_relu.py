"""A ReLU gives zero for almost every value, many steps in a row.

Why it matters: a unit that always gives zero gets no gradient and cannot recover.
How it decides: the share of zeros in the output of a ReLU module stays at or above `zero_share` for
    `patience` consecutive recorded steps. A missing value ends the streak.
When it is wrong: layers that are sparse by design (top-k gates, sparse autoencoders, masked tokens).
What to do: lower the learning rate, or start the layer's biases at or above zero.
Source: Lu et al. 2019, "Dying ReLU and Initialization", arXiv:1903.06733, for the mechanism; both default
    numbers are ours, see `docs/explanation/thresholds.md`.
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


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    zero_share: float = threshold(0.99, unit="fraction", low=0.5, high=1.0, why="healthy: below 0.6")
    patience: int = threshold(12, unit="recorded steps", low=2, high=10_000, why="outlasts the first steps")


@detector(
    "A101",
    "dead-relu",
    chinese="ReLU 失活",
    diagnoses=("dead-relu",),
    reads=("activation.zero_share",),
    severity=Severity.WARNING,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for track in window.read("activation.zero_share"):
        if track.class_name not in ("ReLU", "ReLU6"):
            continue
        streak = first_streak(track.values >= at.zero_share, at.patience)
        if streak is not None:
            share = track.values[streak].min()
            born = streak.start == 0
            yield Finding(
                place=track.place,
                message=_share(share)
                + Bilingual(
                    f" outputs are zero on {at.patience} recorded steps (limit {at.zero_share:.0%})",
                    f"输出为零，持续 {at.patience} 个记录步（阈值 {at.zero_share:.0%}）",
                )
                + (Bilingual(", from the start", "，从一开始就如此") if born else ""),
                advice=Bilingual(
                    "start the biases of the layer before it at or above zero",
                    "把前一层的偏置初始化为零或正值",
                )
                if born
                else Bilingual(
                    "lower the learning rate, or use LeakyReLU or GELU",
                    "降低学习率，或改用 LeakyReLU、GELU",
                ),
                diagnoses=("dead-relu", "bad-init") if born else ("dead-relu", "lr-too-high"),
                evidence=(
                    track.evidence(
                        streak, threshold=at.zero_share, label=Bilingual("share of zeros", "零值占比")
                    ),
                ),
                weight=share,
            )


def _share(share: float) -> Bilingual:
    if share == 1:
        return Bilingual("all", "全部")
    return Bilingual(f"at least {share:.1%} of the", f"至少 {share:.1%} 的")


_ACT = (Place(path="act1", kind="module", class_name="torch.nn.modules.activation.ReLU", order=0),)
_SIGMOID = (Place(path="act1", kind="module", class_name="torch.nn.modules.activation.Sigmoid", order=0),)
CASES = (
    fires(
        "exactly at both thresholds, from the start",
        place="act1",
        places=_ACT,
        diagnoses=("dead-relu", "bad-init"),
        activation__zero_share={"act1": [0.99] * 12},
    ),
    fires(
        "died later",
        places=_ACT,
        diagnoses=("dead-relu", "lr-too-high"),
        activation__zero_share={"act1": [0.5] * 5 + [0.99] * 12},
    ),
    silent("one step short", places=_ACT, activation__zero_share={"act1": [1.0] * 11}),
    silent("just under the share", places=_ACT, activation__zero_share={"act1": [0.989] * 500}),
    silent(
        "a gap ends the streak",
        places=_ACT,
        activation__zero_share={"act1": [1.0] * 11 + [float("nan")] + [1.0] * 11},
    ),
    silent("no ReLU", places=_SIGMOID, activation__zero_share={"act1": [1.0] * 50}),
)
