"""All weights of a layer have one value.

Why it matters: with zeros nothing passes, forward or backward; with another constant all units of the layer
    compute the same and get the same gradient, so that the layer is one unit wide.
How it decides: the spread of a weight with two dimensions or more is exactly zero. For zeros, which single
    last layers rightly start from, it must still be so on `patience` recorded steps; any other constant is
    told at once. A parameter that is not called a weight may be a scale or a spread of noise, which rightly
    start from one value: a note.
When it is wrong: embeddings are left out; a fixed averaging filter should not be in the optimizer.
What to do: leave PyTorch's default initialisation, or use `nn.init.kaiming_normal_` or `xavier_uniform_`.
Source: Glorot and Bengio 2010; Goodfellow et al., "Deep Learning", section 8.4, on breaking symmetry. The
    patience is ours.
"""

import re
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
    matrices,
    silent,
    threshold,
)
from unbug.numerics import first_streak


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    patience: int = threshold(
        5, unit="recorded steps", low=2, high=1000, why="a zero last layer moves at once"
    )


@detector(
    "M104",
    "constant-weights",
    chinese="权重为常数",
    diagnoses=("bad-init",),
    reads=("weight.std", "weight.mean"),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.95,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    means = {track.place: track for track in window.read("weight.mean")}
    for track in matrices(window, "weight.std"):
        mean = means.get(track.place)
        value = float(mean.values[0]) if mean is not None else 0.0
        streak = first_streak(track.values == 0, at.patience if value == 0 else 1)
        if streak is None or streak.start > 0:
            continue
        kept = (
            Bilingual(f" on the first {at.patience} recorded steps", f"（最初 {at.patience} 个记录步）")
            if value == 0
            else Bilingual(" at the start", "（训练开始时）")
        )
        yield Finding(
            place=track.place,
            message=Bilingual(f"all weights are {value:g}", f"所有权重都是 {value:g}") + kept,
            advice=Bilingual(
                "leave the default initialisation, or use nn.init.kaiming_normal_ or xavier_uniform_",
                "保留默认初始化，或使用 nn.init.kaiming_normal_、xavier_uniform_",
            ),
            severity=None if _is_weight(track.place) else Severity.NOTE,
            evidence=(track.evidence(streak, label=Bilingual("spread of the weights", "权重的离散程度")),),
            weight=-float(track.where.order),
        )


def _is_weight(path: str) -> bool:
    """Whether a parameter is named as what its layer multiplies with."""
    return (
        re.match(r"(?i)(.*_)?(w|weights?|kernel|proj|matrix)(_.*|\d*)$", path.rpartition(".")[2]) is not None
    )


_FC = (Place(path="fc.weight", kind="parameter", shape=(4, 4), order=0),)
CASES = (
    fires(
        "zeros that stay",
        place="fc.weight",
        places=_FC,
        weight__std={"fc.weight": [0.0] * 5},
        weight__mean={"fc.weight": [0.0] * 5},
    ),
    fires(
        "ones, at once",
        place="fc.weight",
        places=_FC,
        weight__std={"fc.weight": [0.0, 0.1]},
        weight__mean={"fc.weight": [1.0, 1.0]},
    ),
    silent(
        "zeros, one step short",
        places=_FC,
        weight__std={"fc.weight": [0.0] * 4},
        weight__mean={"fc.weight": [0.0] * 4},
    ),
    silent(
        "a zero last layer that moves",
        places=_FC,
        weight__std={"fc.weight": [0.0, 0.01, 0.02, 0.02, 0.02, 0.02]},
        weight__mean={"fc.weight": [0.0] * 6},
    ),
    fires(
        "a spread of noise",
        severity=Severity.NOTE,
        places=(Place(path="fc.rho", kind="parameter", shape=(4, 4), order=0),),
        weight__std={"fc.rho": [0.0, 0.1]},
        weight__mean={"fc.rho": [-4.0, -4.0]},
    ),
    silent(
        "a bias",
        places=(Place(path="fc.bias", kind="parameter", shape=(4,)),),
        weight__std={"fc.bias": [0.0] * 9},
    ),
)
